/* What is printed of counters, relays and certificates. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "regress/lib/showkit.h"

static const char worker_counters[] =
"\n"
"PROCESS  SLOT  COUNTER                       VALUE\n"
"worker      1  handshakes                        1\n"
"worker      1  confirmed                         0\n"
"worker      1  failed                            0\n"
"worker      1  refused                           0\n"
"worker      1  held                              0\n"
"worker      1  registers                         0\n"
"worker      1  opens                             0\n"
"worker      1  lites                             0\n"
"worker      1  bytes_out          9007199254740992\n"
"worker      1  pauses                            3\n"
"worker      1  conns                             0\n"
"worker      1  conns_full                        0\n"
"worker      1  crowded                           0\n"
"worker      1  proxied                           0\n"
"worker      1  proxy_bad                         0\n"
"worker      1  late                              0\n"
"worker      1  http_bad                          0\n"
"worker      1  sessions_bad                      0\n"
"worker      1  stalled                           0\n"
"worker      1  tls                               0\n"
"worker      1  tls_done                          0\n"
"worker      1  tls_h2                            0\n"
"worker      1  tls_failed                        0\n"
"worker      1  tls_pushed                        0\n"
"worker      1  tls_record_bad                    0\n"
"worker      1  relay_upgrades                    0\n"
"worker      1  relay_logins                      0\n"
"worker      1  relay_refused                     0\n"
"worker      1  relay_limited                     0\n"
"worker      1  relay_evicted                     0\n"
"worker      1  relay_warned                      0\n"
"worker      1  relay_bad                         0\n"
"worker      1  relay_stalled                     0\n"
"worker      1  relay_waits                       0\n"
"worker      1  relay_packets                     0\n"
"worker      1  relay_bytes_in                    0\n"
"worker      1  relay_disco                       0\n"
"worker      1  relay_packets_out                 0\n"
"worker      1  relay_bytes_out                   0\n"
"worker      1  relay_mesh                        0\n"
"worker      1  relay_mesh_in                     0\n"
"worker      1  relay_mesh_bad                    0\n"
"worker      1  relay_dropped                     0\n"
"worker      1  drop_unknown                      0\n"
"worker      1  drop_fwd                          0\n"
"worker      1  drop_gone                         0\n"
"worker      1  drop_head                         0\n"
"worker      1  drop_dup                          0\n"
"worker      1  drop_mesh                         0\n"
"worker      1  drop_source                       0\n"
"worker      1  drop_memory                       0\n"
"worker      1  relay_notices                     0\n"
"worker      1  relay_gone                        0\n"
"worker      1  relay_not_here                    0\n"
"worker      1  relay_pings                       0\n"
"worker      1  relay_pongs                       0\n"
"worker      1  relay_home_in                     0\n"
"worker      1  relay_home_out                    0\n"
"worker      1  relay_unknown                     0\n"
"worker      1  relay_clients                     0\n"
"worker      1  relay_home                        0\n"
"worker      1  relay_dup_keys                    0\n"
"worker      1  relay_dup_conns                   0\n";

static void
test_counters(void **state)
{
	struct out o = showkit_out(false, 0);
	struct m_ctl_proc *p;
	struct show *s;
	struct msg m;
	char *at;

	(void)state;
	o.verbose = true;
	showkit_status(&o, 1, NULL);
	buf_u8(&o.text, 0);
	at = strstr((char *)o.text.p, "allow-all\n");
	assert_non_null(at);
	assert_string_equal(at + 10, worker_counters);
	buf_free(&o.text);
	/* Each role has names of its own. */
	o = showkit_out(false, 0);
	o.verbose = true;
	s = show_new(A_STATUS, &o);
	msg_init(&m, M_CTL_PROC);
	p = &m.u.ctl_proc;
	p->role = ROLE_KEYD;
	p->counts.expired = 5;
	p->counts.waiting = 6;
	show_row(s, &m);
	p->role = ROLE_DBD;
	p->counts.no_room = 7;
	show_row(s, &m);
	p->role = ROLE_STUN;
	p->counts.stun_limited = 8;
	show_row(s, &m);
	p->role = 200;
	show_row(s, &m);
	show_end(s);
	show_free(s);
	buf_u8(&o.text, 0);
	at = strstr((char *)o.text.p, "PROCESS  SLOT  COUNTER");
	assert_non_null(at);
	assert_string_equal(at,
"PROCESS  SLOT  COUNTER         VALUE\n"
"keyd        -  handshakes          0\n"
"keyd        -  confirmed           0\n"
"keyd        -  refused             0\n"
"keyd        -  expired             5\n"
"keyd        -  waiting             6\n"
"keyd        -  signatures          0\n"
"keyd        -  relay_logins        0\n"
"dbd         -  refused             0\n"
"dbd         -  registers           0\n"
"dbd         -  opens               0\n"
"dbd         -  lites               0\n"
"dbd         -  waiting             6\n"
"dbd         -  delayed             0\n"
"dbd         -  replaced            0\n"
"dbd         -  no_room             7\n"
"dbd         -  batches             0\n"
"dbd         -  operations          0\n"
"dbd         -  behind              0\n"
"dbd         -  relay_logins        0\n"
"dbd         -  relay_refused       0\n"
"dbd         -  fetches             0\n"
"dbd         -  fetches_failed      0\n"
"dbd         -  probes              0\n"
"dbd         -  probes_failed       0\n"
"dbd         -  certs               0\n"
"dbd         -  certs_failed        0\n"
"stun        -  stun_answered       0\n"
"stun        -  stun_malformed      0\n"
"stun        -  stun_sources        0\n"
"stun        -  stun_limited        8\n");
	buf_free(&o.text);
}

static void
derp_line(struct show *s, const char *node, bool ok, int64_t probed,
    int64_t down, bool avoid)
{
	struct msg m;

	msg_init(&m, M_CTL_DERP);
	m.u.ctl_derp.region = 12;
	m.u.ctl_derp.code = slice_str("fra");
	m.u.ctl_derp.node = slice_str(node);
	m.u.ctl_derp.host = slice_str("d.example\033");
	m.u.ctl_derp.own = strcmp(node, "12a") == 0 ||
	    strcmp(node, "12d") == 0;
	m.u.ctl_derp.stun_only = strcmp(node, "12s") == 0;
	m.u.ctl_derp.ok = ok;
	m.u.ctl_derp.us = 20480;
	m.u.ctl_derp.probed = probed;
	m.u.ctl_derp.down_since = down;
	m.u.ctl_derp.avoid = avoid;
	m.u.ctl_derp.text = slice_str(down != 0 ? "refused" : "");
	show_row(s, &m);
}

static const char *
derp_text(struct out *o)
{
	struct show *s = show_new(A_DERP_LIST, o);

	derp_line(s, "12a", true, o->now - 20, 0, false);
	derp_line(s, "12b", false, o->now - 20, o->now - 7200, true);
	if (!o->json) {
		derp_line(s, "12c", false, 0, 0, false);
		/* Ours, where nobody probes: nobody says it is down. */
		derp_line(s, "12d", false, 0, 0, false);
		derp_line(s, "12s", false, 0, 0, false);
	}
	show_end(s);
	show_free(s);
	buf_u8(&o->text, 0);
	return (const char *)o->text.p;
}

static void
test_derp(void **state)
{
	struct out o = showkit_out(false, 0);
	const char *t;

	(void)state;
	assert_string_equal(derp_text(&o),
"REGION  CODE  NODE  HOST                 STATE              "
"LATENCY  PROBED   WHY\n"
"    12  fra   12a   d.example\\033 (own)  up                 "
"20.4 ms  20s ago  -\n"
"    12  fra   12b   d.example\\033        down,avoid 2h ago  "
"      -  20s ago  refused\n"
"    12  fra   12c   d.example\\033        unknown            "
"      -  -        -\n"
"    12  fra   12d   d.example\\033 (own)  served             "
"      -  -        -\n"
"    12  fra   12s   d.example\\033        stun               "
"      -  -        -\n");
	buf_free(&o.text);
	o = showkit_out(true, 0);
	t = derp_text(&o);
	assert_non_null(strstr(t, "\"latency_us\": 20480"));
	assert_non_null(strstr(t, "\"down_since\": null"));
	assert_non_null(strstr(t, "\"avoid\": true"));
	assert_non_null(strstr(t, "\"own\": true"));
	buf_free(&o.text);
}

static void
test_cert(void **state)
{
	struct out o = showkit_out(false, 0);
	struct buf b = { NULL, 0, 0 };
	struct r_text name = { slice_str("hs.example.org") };
	struct show *s;
	struct msg m;

	(void)state;
	s = show_new(A_CERT_LIST, &o);
	msg_init(&m, M_CTL_CERT);
	msg_list_add(&m.u.ctl_cert.names, &b, MR_TEXT, &name);
	msg_list_close(&m.u.ctl_cert.names, &b);
	m.u.ctl_cert.serial = slice_str("0A1B");
	m.u.ctl_cert.not_after = o.now + 30 * 86400;
	m.u.ctl_cert.renew = o.now + 7200;
	show_row(s, &m);
	m.u.ctl_cert.serial = slice_str("");
	m.u.ctl_cert.not_after = 0;
	m.u.ctl_cert.renew = o.now;
	m.u.ctl_cert.failed = 3;
	m.u.ctl_cert.text = slice_str("no\n");
	show_row(s, &m);
	show_end(s);
	show_free(s);
	buf_u8(&o.text, 0);
	assert_string_equal((char *)o.text.p,
"NAMES           SERIAL  EXPIRES   RENEW  FAILED  WHY\n"
"hs.example.org  0A1B    in 30d    in 2h       0  -\n"
"hs.example.org  -       none yet  now         3  no\\n\n");
	buf_free(&o.text);
	o = showkit_out(true, 0);
	s = show_new(A_CERT_LIST, &o);
	show_row(s, &m);
	show_end(s);
	show_free(s);
	buf_u8(&o.text, 0);
	assert_non_null(strstr((char *)o.text.p, "\"hs.example.org\""));
	assert_non_null(strstr((char *)o.text.p, "\"serial\": \"\""));
	assert_non_null(strstr((char *)o.text.p, "\"expires\": null"));
	assert_non_null(strstr((char *)o.text.p, "\"failed\": 3"));
	buf_free(&o.text);
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counters),
		cmocka_unit_test(test_derp),
		cmocka_unit_test(test_cert),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
