/* "headscalectl metrics": the text for Prometheus from given rows. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/compat/compat.h"
#include "ctl/metrics.h"
#include "ctl/show_int.h"
#include "regress/lib/showkit.h"

static void
proc(struct metrics *m, enum role role, uint16_t slot, uint8_t state)
{
	struct msg msg;

	msg_init(&msg, M_CTL_PROC);
	msg.u.ctl_proc.role = (uint8_t)role;
	msg.u.ctl_proc.slot = slot;
	msg.u.ctl_proc.state = state;
	msg.u.ctl_proc.uptime_s = 60;
	msg.u.ctl_proc.starts = 3;
	msg.u.ctl_proc.streams = 7;
	msg.u.ctl_proc.sessions = 8;
	msg.u.ctl_proc.conns = 9;
	msg.u.ctl_proc.counts.handshakes = 1ULL << 60;
	msg.u.ctl_proc.counts.waiting = 5;
	msg.u.ctl_proc.counts.relay_upgrades = 11;
	msg.u.ctl_proc.counts.relay_dropped = 99;
	msg.u.ctl_proc.counts.drop_unknown = 12;
	msg.u.ctl_proc.counts.drop_memory = 13;
	msg.u.ctl_proc.counts.relay_clients = 14;
	msg.u.ctl_proc.counts.stun_limited = 15;
	metrics_row(m, &msg);
}

static void
tailnet(struct metrics *m, const char *name, const char *refused)
{
	struct msg msg;

	msg_init(&msg, M_CTL_SUMMARY);
	msg.u.ctl_summary.name = slice_str(name);
	msg.u.ctl_summary.nodes = 12;
	msg.u.ctl_summary.online = 10;
	msg.u.ctl_summary.users = 2;
	msg.u.ctl_summary.seq = 345;
	msg.u.ctl_summary.policy = slice_str("version 2");
	msg.u.ctl_summary.refused = slice_str(refused);
	metrics_row(m, &msg);
}

static void
derp(struct metrics *m, const char *node, int64_t probed, bool ok)
{
	struct msg msg;

	msg_init(&msg, M_CTL_DERP);
	msg.u.ctl_derp.region = 901;
	msg.u.ctl_derp.code = slice_str("fra");
	msg.u.ctl_derp.node = slice_str(node);
	msg.u.ctl_derp.host = slice_str("d.example");
	msg.u.ctl_derp.probed = probed;
	msg.u.ctl_derp.ok = ok;
	msg.u.ctl_derp.us = 1020480;
	msg.u.ctl_derp.down_since = ok || probed == 0 ? 0 : probed - 60;
	msg.u.ctl_derp.avoid = !ok && probed != 0;
	msg.u.ctl_derp.stun_only = strcmp(node, "s") == 0;
	metrics_row(m, &msg);
}

static void
cert(struct metrics *m, int64_t not_after)
{
	struct r_text a = { slice_str("hs.example") };
	struct r_text b = { slice_str("b.example") };
	struct buf list = { NULL, 0, 0 };
	struct msg msg;

	msg_init(&msg, M_CTL_CERT);
	msg_list_add(&msg.u.ctl_cert.names, &list, MR_TEXT, &a);
	msg_list_add(&msg.u.ctl_cert.names, &list, MR_TEXT, &b);
	msg_list_close(&msg.u.ctl_cert.names, &list);
	msg.u.ctl_cert.not_after = not_after;
	msg.u.ctl_cert.renew = 1790000001;
	msg.u.ctl_cert.failed = 4;
	metrics_row(m, &msg);
	buf_free(&list);
}

static char *
ends(struct metrics *m, struct out *o)
{
	metrics_end(m, o);
	metrics_free(m);
	buf_u8(&o->text, 0);
	return (char *)o->text.p;
}

static const char tailnets_text[] =
"# HELP headscaled_tailnet_nodes Nodes there are.\n"
"# TYPE headscaled_tailnet_nodes gauge\n"
"headscaled_tailnet_nodes{tailnet=\"a\"} 12\n"
"headscaled_tailnet_nodes{tailnet=\"b\"} 12\n"
"# HELP headscaled_tailnet_nodes_online Nodes with a map stream.\n"
"# TYPE headscaled_tailnet_nodes_online gauge\n"
"headscaled_tailnet_nodes_online{tailnet=\"a\"} 10\n"
"headscaled_tailnet_nodes_online{tailnet=\"b\"} 10\n"
"# HELP headscaled_tailnet_users Users there are.\n"
"# TYPE headscaled_tailnet_users gauge\n"
"headscaled_tailnet_users{tailnet=\"a\"} 2\n"
"headscaled_tailnet_users{tailnet=\"b\"} 2\n"
"# HELP headscaled_tailnet_seq Number of the newest change.\n"
"# TYPE headscaled_tailnet_seq gauge\n"
"headscaled_tailnet_seq{tailnet=\"a\"} 345\n"
"headscaled_tailnet_seq{tailnet=\"b\"} 345\n"
"# HELP headscaled_tailnet_policy_refused 1 if the file with the policy is "
"not in force.\n"
"# TYPE headscaled_tailnet_policy_refused gauge\n"
"headscaled_tailnet_policy_refused{tailnet=\"a\"} 0\n"
"headscaled_tailnet_policy_refused{tailnet=\"b\"} 1\n"
"# EOF\n";

/* Samples of a metric stand together, whatever the order of the rows. */
static void
test_tailnets(void **state)
{
	struct out o = showkit_out(false, 0);
	struct metrics *m = metrics_new();

	(void)state;
	tailnet(m, "a", "");
	tailnet(m, "b", "policy:1:2: no");
	assert_string_equal(ends(m, &o), tailnets_text);
	buf_free(&o.text);
	/* Nothing is known of nothing. */
	assert_string_equal(ends(metrics_new(), &o), "# EOF\n");
	buf_free(&o.text);
}

#define R	"region=\"901\",code=\"fra\",node="
#define H	",host=\"d.example\"} "
static const char relays_text[] =
"# HELP headscaled_derp_node_up 1 if the relay answered the last probe.\n"
"# TYPE headscaled_derp_node_up gauge\n"
"headscaled_derp_node_up{" R "\"up\"" H "1\n"
"headscaled_derp_node_up{" R "\"down\"" H "0\n"
"# HELP headscaled_derp_node_latency_seconds How long that took, a mean over "
"some.\n"
"# TYPE headscaled_derp_node_latency_seconds gauge\n"
"headscaled_derp_node_latency_seconds{" R "\"up\"" H "1.020480\n"
"# HELP headscaled_derp_node_probed_timestamp_seconds When that was.\n"
"# TYPE headscaled_derp_node_probed_timestamp_seconds gauge\n"
"headscaled_derp_node_probed_timestamp_seconds{" R "\"up\"" H "1790000000\n"
"headscaled_derp_node_probed_timestamp_seconds{" R "\"down\"" H "1790000000\n"
"# HELP headscaled_derp_node_down_since_timestamp_seconds Since when it has "
"not answered.\n"
"# TYPE headscaled_derp_node_down_since_timestamp_seconds gauge\n"
"headscaled_derp_node_down_since_timestamp_seconds{" R "\"down\"" H
"1789999940\n"
"# HELP headscaled_derp_node_avoid 1 if clients are told to avoid its "
"region.\n"
"# TYPE headscaled_derp_node_avoid gauge\n"
"headscaled_derp_node_avoid{" R "\"up\"" H "0\n"
"headscaled_derp_node_avoid{" R "\"down\"" H "1\n"
"headscaled_derp_node_avoid{" R "\"new\"" H "0\n"
"headscaled_derp_node_avoid{" R "\"s\"" H "0\n"
"# HELP headscaled_certificate_expiry_timestamp_seconds When the certificate "
"expires; 0: there is none yet.\n"
"# TYPE headscaled_certificate_expiry_timestamp_seconds gauge\n"
"headscaled_certificate_expiry_timestamp_seconds{names=\"hs.example,"
"b.example\"} 1790000002\n"
"# HELP headscaled_certificate_renew_timestamp_seconds When it is renewed.\n"
"# TYPE headscaled_certificate_renew_timestamp_seconds gauge\n"
"headscaled_certificate_renew_timestamp_seconds{names=\"hs.example,"
"b.example\"} 1790000001\n"
"# HELP headscaled_certificate_failures How many times in a row that has "
"failed.\n"
"# TYPE headscaled_certificate_failures gauge\n"
"headscaled_certificate_failures{names=\"hs.example,b.example\"} 4\n"
"# EOF\n";

/* Of what has not been probed, nobody says that it is down. */
static void
test_relays(void **state)
{
	struct out o = showkit_out(false, 0);
	struct metrics *m = metrics_new();
	char *t;

	(void)state;
	derp(m, "up", 1790000000, true);
	derp(m, "down", 1790000000, false);
	derp(m, "new", 0, false);
	derp(m, "s", 1790000000, true);
	cert(m, 1790000002);
	assert_string_equal(ends(m, &o), relays_text);
	buf_free(&o.text);
	m = metrics_new();
	cert(m, 0);
	t = ends(m, &o);
	assert_non_null(strstr(t, "headscaled_certificate_expiry_timestamp_"
	    "seconds{names=\"hs.example,b.example\"} 0\n"));
	buf_free(&o.text);
}

/* How often a line stands in the text. */
static unsigned int
times(const char *text, const char *line)
{
	unsigned int n = 0;
	const char *p;

	for (p = text; (p = strstr(p, line)) != NULL; p += strlen(line))
		n += p == text || p[-1] == '\n';
	return n;
}

static void
test_processes(void **state)
{
	static const char *const line[] = {
		"headscaled_process_up{role=\"master\",slot=\"0\"} 1\n",
		"headscaled_process_up{role=\"worker\",slot=\"1\"} 1\n",
		"headscaled_process_up{role=\"worker\",slot=\"2\"} 0\n",
		"headscaled_process_starts_total{role=\"keyd\",slot=\"0\"} 3\n",
		"# TYPE headscaled_process_starts_total counter\n",
		"headscaled_process_uptime_seconds{role=\"keyd\",slot=\"0\"} "
		    "60\n",
		"headscaled_process_streams{role=\"worker\",slot=\"2\"} 7\n",
		"headscaled_process_sessions{role=\"worker\",slot=\"2\"} 8\n",
		"headscaled_process_connections{role=\"worker\",slot=\"2\"} "
		    "9\n",
		"# TYPE headscaled_handshakes_total counter\n",
		"headscaled_handshakes_total{role=\"worker\",slot=\"1\"} "
		    "1152921504606846976\n",
		"headscaled_handshakes_total{role=\"keyd\",slot=\"0\"} "
		    "1152921504606846976\n",
		"# TYPE headscaled_waiting gauge\n",
		"headscaled_waiting{role=\"keyd\",slot=\"0\"} 5\n",
		"# TYPE derp_accepts counter\n",
		"derp_accepts{role=\"worker\",slot=\"1\"} 11\n",
		"# TYPE derp_packets_dropped counter\n",
		"derp_packets_dropped{role=\"worker\",slot=\"1\","
		    "reason=\"unknown_dest\"} 12\n",
		"derp_packets_dropped{role=\"worker\",slot=\"2\","
		    "reason=\"memory\"} 13\n",
		"# TYPE derp_current_connections gauge\n",
		"derp_current_connections{role=\"worker\",slot=\"1\"} 14\n",
		"# TYPE stun_requests counter\n",
		"stun_requests{role=\"stun\",slot=\"0\","
		    "disposition=\"rate_limited\"} 15\n",
	};
	static const char *const none[] = {
		"headscaled_process_streams{role=\"keyd\"",
		"headscaled_handshakes_total{role=\"dbd\"",
		"derp_accepts{role=\"keyd\"",
		"headscaled_waiting_total", "relay_dropped", "99",
	};
	struct out o = showkit_out(false, 0);
	struct metrics *m = metrics_new();
	size_t i;
	char *t;

	(void)state;
	proc(m, ROLE_MASTER, 0, 2);
	proc(m, ROLE_WORKER, 1, 2);
	proc(m, ROLE_WORKER, 2, 1);
	proc(m, ROLE_KEYD, 0, 2);
	proc(m, ROLE_STUN, 0, 2);
	/* The same again: its reader takes no name twice. */
	proc(m, ROLE_WORKER, 1, 0);
	t = ends(m, &o);
	for (i = 0; i < sizeof(line) / sizeof(line[0]); i++)
		if (times(t, line[i]) != 1)
			fail_msg("%u times: %s", times(t, line[i]), line[i]);
	for (i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		if (strstr(t, none[i]) != NULL)
			fail_msg("there: %s", none[i]);
	assert_string_equal(t + strlen(t) - 6, "# EOF\n");
	buf_free(&o.text);
}

/* What a map from elsewhere calls a relay ends no line and no quotes. */
static void
test_labels(void **state)
{
	struct out o = showkit_out(false, 0);
	struct metrics *m = metrics_new();
	char *t;

	(void)state;
	derp(m, "a\"} 1\nx{y=\"\\", 1790000000, true);
	derp(m, "\033\303\251", 1790000000, true);
	t = ends(m, &o);
	assert_non_null(strstr(t, "\nheadscaled_derp_node_up{" R
	    "\"a\\\"} 1\\\\nx{y=\\\"\\\\\\\\\"" H "1\n"));
	assert_non_null(strstr(t, "\nheadscaled_derp_node_up{" R
	    "\"\\\\033\\\\303\\\\251\"" H "1\n"));
	assert_null(strstr(t, "\nx{"));
	buf_free(&o.text);
}

/* Every counter is there under one name that is nobody else's. */
static void
test_list(void **state)
{
	const struct count *c;
	size_t i, k, n, own = 0;
	bool seen[sizeof(struct r_counters)] = { false };

	(void)state;
	c = count_list(&n);
	assert_int_equal(n * sizeof(uint64_t), sizeof(struct r_counters));
	for (i = 0; i < n; i++) {
		assert_false(seen[c[i].at]);
		seen[c[i].at] = true;
		own += c[i].metric == NULL;
		/* Who has no text follows one of the same name. */
		if (c[i].metric == NULL)
			assert_non_null(c[i].help);
		else if (c[i].metric[0] != '\0' && c[i].help == NULL)
			assert_string_equal(c[i].metric, c[i - 1].metric);
		for (k = 0; c[i].metric != NULL && c[i].help != NULL &&
		    k < i; k++)
			if (c[k].metric != NULL)
				assert_string_not_equal(c[i].metric,
				    c[k].metric);
	}
	assert_in_range(own, 40, n);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tailnets),
		cmocka_unit_test(test_relays),
		cmocka_unit_test(test_processes),
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
