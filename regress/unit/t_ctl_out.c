/* What is printed, octet by octet. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/enc.h"
#include "regress/lib/showkit.h"

static struct buf lists[32];
static unsigned int nlists;

static void
prints(struct out *o, const char *want)
{
	buf_u8(&o->text, 0);
	assert_string_equal((char *)o->text.p, want);
	buf_free(&o->text);
}

/* One that teardown() frees. */
static struct buf *
take_list(void)
{
	assert_true(nlists < sizeof(lists) / sizeof(lists[0]));
	return &lists[nlists++];
}

static struct msg_list
texts(const char *a, const char *b)
{
	struct buf *buf = take_list();
	struct msg_list l;
	struct r_text t;

	memset(&l, 0, sizeof(l));
	t.v = slice_str(a);
	msg_list_add(&l, buf, MR_TEXT, &t);
	t.v = slice_str(b);
	msg_list_add(&l, buf, MR_TEXT, &t);
	msg_list_close(&l, buf);
	return l;
}

static int
teardown(void **state)
{
	(void)state;
	while (nlists > 0)
		buf_free(&lists[--nlists]);
	return 0;
}

/* Two nodes: one with all there is, one with nothing. */
static void
nodes(struct msg m[2])
{
	struct r_node *n;
	struct r_addr addr;
	struct r_route route;
	struct buf *b;

	msg_init(&m[0], M_CTL_NODE);
	n = &m[0].u.ctl_node.node;
	n->id = 5;
	n->stable_id = slice_str("n5CNTRL");
	n->user = 1;
	n->name = slice_str("laptop");
	memset(n->node_key, 0x11, KEY_LEN);
	memset(n->machine_key, 0x22, KEY_LEN);
	memset(n->disco_key, 0x33, KEY_LEN);
	assert_true(ip_parse(&n->ip4, slice_str("100.64.0.9")));
	assert_true(ip_parse(&n->ip6, slice_str("fd7a:115c:a1e0::9")));
	n->created = NOW_2026 - 3 * 86400;
	n->expiry = NOW_2026 + 30 * 86400;
	n->last_seen = NOW_2026;
	n->online = true;
	n->capver = 140;
	n->home_derp = 901;
	n->tags = texts("tag:web", "tag:\x1b[2J");
	b = take_list();
	assert_true(ipport_parse(&addr.v, slice_str("192.0.2.1:41641")));
	msg_list_add(&n->endpoints, b, MR_ADDR, &addr);
	msg_list_close(&n->endpoints, b);
	b = take_list();
	assert_true(prefix_parse(&route.v, slice_str("10.0.0.0/8")));
	msg_list_add(&n->approved, b, MR_ROUTE, &route);
	msg_list_close(&n->approved, b);
	n->hostinfo.routes = n->approved;
	n->hostinfo.hostname = slice_str("Evil\x1b[31m\nhost");
	n->hostinfo.ipn_version = slice_str("1.104.5");
	n->hostinfo.os = slice_str("linux");
	n->hostinfo.os_version = slice_str("6.1");
	n->hostinfo.distro = slice_str("debian");
	n->hostinfo.go_arch = slice_str("amd64");
	m[0].u.ctl_node.user_name = slice_str("alice");
	m[0].u.ctl_node.slot = 2;
	m[0].u.ctl_node.key_id = 7;
	msg_init(&m[1], M_CTL_NODE);
	n = &m[1].u.ctl_node.node;
	n->id = 16;
	n->stable_id = slice_str("n16CNTRL");
	n->name = slice_str("a-rather-long-name-for-a-node");
	n->expiry = NOW_2026 - 3600;
	n->last_seen = NOW_2026 - 300;
	m[1].u.ctl_node.user_name = slice_str("tagged-devices");
}

static void
list_nodes(struct out *o)
{
	struct show *s;
	struct msg m[2];

	nodes(m);
	s = show_new(A_NODE_LIST, o);
	show_row(s, &m[0]);
	show_row(s, &m[1]);
	show_end(s);
	show_free(s);
}

static void
test_nodes(void **state)
{
	struct out o = showkit_out(false, 0);

	(void)state;
	list_nodes(&o);
	prints(&o,
"ID  NAME                           OWNER           ADDRESS     STATE   "
"EXPIRES          TAGS                 VERSION  WORKER\n"
" 5  laptop                         alice           100.64.0.9  online  "
"in 30d           tag:web,tag:\\033[2J  1.104.5       2\n"
"16  a-rather-long-name-for-a-node  tagged-devices  -           5m ago  "
"expired 60m ago  -                    -             -\n");
}

/* Narrower and narrower: first columns go, then the widest is cut. */
static void
test_nodes_fit(void **state)
{
	struct out o = showkit_out(false, 110);

	(void)state;
	list_nodes(&o);
	prints(&o,
"ID  NAME                           OWNER           ADDRESS     STATE   "
"EXPIRES          TAGS\n"
" 5  laptop                         alice           100.64.0.9  online  "
"in 30d           tag:web,tag:\\033[2J\n"
"16  a-rather-long-name-for-a-node  tagged-devices  -           5m ago  "
"expired 60m ago  -\n");
	o = showkit_out(false, 80);
	list_nodes(&o);
	prints(&o,
"ID  NAME                           OWNER           ADDRESS     STATE\n"
" 5  laptop                         alice           100.64.0.9  online\n"
"16  a-rather-long-name-for-a-node  tagged-devices  -           5m ago\n");
	o = showkit_out(false, 40);
	list_nodes(&o);
	prints(&o,
"ID  NAME              ADDRESS     STATE\n"
" 5  laptop            100.64.0.9  online\n"
"16  a-rather-long-n>  -           5m ago\n");
	o = showkit_out(false, 1);	/* as far as it makes sense */
	list_nodes(&o);
	prints(&o,
"ID  NAME      ADDRESS   STATE\n"
" 5  laptop    100.64.>  online\n"
"16  a-rathe>  -         5m ago\n");
}

static void
test_colour(void **state)
{
	struct out o = showkit_out(false, 40);

	(void)state;
	o.colour = true;
	list_nodes(&o);
	prints(&o,
"\033[1mID  NAME              ADDRESS     STATE\033[0m\n"
" 5  laptop            100.64.0.9  \033[32monline\033[0m\n"
"16  a-rather-long-n>  -           5m ago\n");
}

static const char node_object[] =
"{\n"
"  \"id\": 5,\n"
"  \"stable_id\": \"n5CNTRL\",\n"
"  \"name\": \"laptop\",\n"
"  \"user_id\": 1,\n"
"  \"user\": \"alice\",\n"
"  \"tags\": [\n"
"    \"tag:web\",\n"
"    \"tag:\\u001b[2J\"\n"
"  ],\n"
"  \"addresses\": [\n"
"    \"100.64.0.9\",\n"
"    \"fd7a:115c:a1e0::9\"\n"
"  ],\n"
"  \"online\": true,\n"
"  \"last_seen\": \"2026-09-21T14:13:20Z\",\n"
"  \"created\": \"2026-09-18T14:13:20Z\",\n"
"  \"expires\": \"2026-10-21T14:13:20Z\",\n"
"  \"ephemeral\": false,\n"
"  \"key_id\": 7,\n"
"  \"worker\": 2,\n"
"  \"node_key\": \"nodekey:"
"1111111111111111111111111111111111111111111111111111111111111111\",\n"
"  \"machine_key\": \"mkey:"
"2222222222222222222222222222222222222222222222222222222222222222\",\n"
"  \"disco_key\": \"discokey:"
"3333333333333333333333333333333333333333333333333333333333333333\",\n"
"  \"capability_version\": 140,\n"
"  \"home_derp\": 901,\n"
"  \"endpoints\": [\n"
"    \"192.0.2.1:41641\"\n"
"  ],\n"
"  \"advertised_routes\": [\n"
"    \"10.0.0.0/8\"\n"
"  ],\n"
"  \"approved_routes\": [\n"
"    \"10.0.0.0/8\"\n"
"  ],\n"
"  \"primary_routes\": [],\n"
"  \"hostname\": \"Evil\\u001b[31m\\nhost\",\n"
"  \"client_version\": \"1.104.5\",\n"
"  \"os\": \"linux\",\n"
"  \"os_version\": \"6.1\",\n"
"  \"distro\": \"debian\",\n"
"  \"distro_version\": \"\",\n"
"  \"device_model\": \"\",\n"
"  \"arch\": \"amd64\"\n"
"}\n";

static void
test_node_json(void **state)
{
	struct out o = showkit_out(true, 0);
	struct msg m[2];
	struct show *s;
	const char *want;

	(void)state;
	nodes(m);
	show_node(&o, &m[0].u.ctl_node);
	prints(&o, node_object);
	/* What is missing is null or empty, never left out. */
	o = showkit_out(true, 0);
	show_node(&o, &m[1].u.ctl_node);
	buf_u8(&o.text, 0);
	for (want = node_object; (want = strstr(want, "\n  \"")) != NULL;
	    want += 4) {
		char name[32];

		assert_true(slice_copy(name, sizeof(name), slice_mem(want + 3,
		    strcspn(want + 4, "\"") + 2)));
		assert_non_null(strstr((char *)o.text.p, name));
	}
	assert_non_null(strstr((char *)o.text.p, "\"user_id\": null,"));
	assert_non_null(strstr((char *)o.text.p, "\"disco_key\": null,"));
	assert_non_null(strstr((char *)o.text.p, "\"endpoints\": [],"));
	assert_non_null(strstr((char *)o.text.p, "\"worker\": null,"));
	buf_free(&o.text);
	/* An empty list is an array, too. */
	o = showkit_out(true, 0);
	s = show_new(A_NODE_LIST, &o);
	show_end(s);
	show_free(s);
	prints(&o, "[]\n");
	o = showkit_out(false, 0);
	s = show_new(A_NODE_LIST, &o);
	show_end(s);
	show_free(s);
	assert_int_equal(o.text.n, 0);
}

static void
test_node_lines(void **state)
{
	struct out o = showkit_out(false, 0);
	struct msg m[2];

	(void)state;
	nodes(m);
	show_node(&o, &m[0].u.ctl_node);
	prints(&o,
"name           laptop\n"
"id             5 (n5CNTRL)\n"
"owner          alice\n"
"tags           tag:web,tag:\\033[2J\n"
"address        100.64.0.9\n"
"address        fd7a:115c:a1e0::9\n"
"state          online, on worker 2\n"
"last seen      2026-09-21T14:13:20Z (0s ago)\n"
"created        2026-09-18T14:13:20Z (3d ago)\n"
"key expires    2026-10-21T14:13:20Z (in 30d)\n"
"ephemeral      no\n"
"auth key       7\n"
"hostname       Evil\\033[31m\\nhost\n"
"client         1.104.5\n"
"system         linux\n"
"               6.1\n"
"distribution   debian\n"
"capability     140\n"
"home relay     901\n"
"endpoint       192.0.2.1:41641\n"
"advertises     10.0.0.0/8\n"
"approved       10.0.0.0/8\n"
"node key       nodekey:"
"1111111111111111111111111111111111111111111111111111111111111111\n"
"machine key    mkey:"
"2222222222222222222222222222222222222222222222222222222222222222\n"
"disco key      discokey:"
"3333333333333333333333333333333333333333333333333333333333333333\n");
	o = showkit_out(false, 0);
	show_node(&o, &m[1].u.ctl_node);
	prints(&o,
"name           a-rather-long-name-for-a-node\n"
"id             16 (n16CNTRL)\n"
"owner          tagged-devices\n"
"tags           -\n"
"state          5m ago\n"
"last seen      2026-09-21T14:08:20Z (5m ago)\n"
"created        never\n"
"key expires    2026-09-21T13:13:20Z (60m ago)\n"
"ephemeral      no\n"
"capability     0\n");
}

static void
list_users(struct out *o)
{
	struct show *s;
	struct msg m;

	s = show_new(A_USER_LIST, o);
	msg_init(&m, M_CTL_USER);
	m.u.ctl_user.user.id = 1;
	m.u.ctl_user.user.name = slice_str("alice");
	m.u.ctl_user.user.display = slice_str("Alice \"A\" \xc2\x9b\x7f");
	m.u.ctl_user.user.created = NOW_2026;
	m.u.ctl_user.nodes = 3;
	show_row(s, &m);
	show_end(s);
	show_free(s);
}

static void
test_users(void **state)
{
	struct out o = showkit_out(false, 0);

	(void)state;
	list_users(&o);
	prints(&o,
"ID  NAME   DISPLAY                 ROLE    NODES  CREATED\n"
" 1  alice  Alice \"A\" \\302\\233\\177  member      3  2026-09-21\n");
	o = showkit_out(true, 0);
	list_users(&o);
	prints(&o,
"[\n"
"  {\n"
"    \"id\": 1,\n"
"    \"name\": \"alice\",\n"
"    \"display\": \"Alice \\\"A\\\" \\u009b\\u007f\",\n"
"    \"role\": \"member\",\n"
"    \"nodes\": 3,\n"
"    \"created\": \"2026-09-21T14:13:20Z\"\n"
"  }\n"
"]\n");
}

static void
list_keys(struct out *o)
{
	struct show *s;
	struct m_ctl_key *k;
	struct msg m;
	int i;

	s = show_new(A_KEY_LIST, o);
	msg_init(&m, M_CTL_KEY);
	k = &m.u.ctl_key;
	k->prefix = slice_str("hskey-a");
	k->created = NOW_2026;
	for (i = 0; i < (o->json ? 1 : 5); i++) {
		k->id = (uint64_t)i + 1;
		k->user = i == 4 ? 0 : 1;
		k->user_name = slice_str(i == 4 ? "" : "alice");
		k->reusable = i == 0 || i == 4;
		k->ephemeral = i == 4;
		k->used = i == 0 ? 9 : i == 1;
		k->expiry = i == 4 ? 0 : i == 2 ? NOW_2026 : NOW_2026 + 60;
		k->revoked = i == 3;
		if (i == 4)
			k->tags = texts("tag:a", "tag:b");
		show_row(s, &m);
	}
	show_end(s);
	show_free(s);
}

static void
test_keys(void **state)
{
	struct out o = showkit_out(false, 0);

	(void)state;
	list_keys(&o);
	prints(&o,
"ID  KEY      USER   KIND                STATE    USED  EXPIRES  TAGS         "
"CREATED\n"
" 1  hskey-a  alice  reusable            valid       9  in 60s   -            "
"2026-09-21\n"
" 2  hskey-a  alice  single              used        1  in 60s   -            "
"2026-09-21\n"
" 3  hskey-a  alice  single              expired     0  0s ago   -            "
"2026-09-21\n"
" 4  hskey-a  alice  single              revoked     0  in 60s   -            "
"2026-09-21\n"
" 5  hskey-a  -      reusable,ephemeral  valid       0  never    tag:a,tag:b  "
"2026-09-21\n");
	o = showkit_out(true, 0);
	list_keys(&o);
	prints(&o,
"[\n"
"  {\n"
"    \"id\": 1,\n"
"    \"prefix\": \"hskey-a\",\n"
"    \"user_id\": 1,\n"
"    \"user\": \"alice\",\n"
"    \"reusable\": true,\n"
"    \"ephemeral\": false,\n"
"    \"used\": 9,\n"
"    \"revoked\": false,\n"
"    \"state\": \"valid\",\n"
"    \"tags\": [],\n"
"    \"created\": \"2026-09-21T14:13:20Z\",\n"
"    \"expires\": \"2026-09-21T14:14:20Z\"\n"
"  }\n"
"]\n");
}

static void
test_refused(void **state)
{
	const char *refused = "/etc/p:3:7: no such \033 thing";
	struct out o = showkit_out(false, 0);

	(void)state;
	showkit_status(&o, 1, refused);
	assert_non_null(strstr((char *)o.text.p, "policy allow-all\n"
	    "policy file refused: /etc/p:3:7: no such \\033 thing\n"));
	buf_free(&o.text);
	o = showkit_out(true, 0);
	showkit_status(&o, 1, refused);
	assert_non_null(strstr((char *)o.text.p, "\"policy_file_refused\": "
	    "\"/etc/p:3:7: no such \\u001b thing\""));
	buf_free(&o.text);
}

static const char status_json[] =
"{\n"
"  \"processes\": [\n"
"    {\n"
"      \"role\": \"master\",\n"
"      \"slot\": 0,\n"
"      \"generation\": 0,\n"
"      \"pid\": 100,\n"
"      \"state\": \"ready\",\n"
"      \"uptime_seconds\": 7200,\n"
"      \"starts\": 1,\n"
"      \"streams\": 0,\n"
"      \"sessions\": 0,\n"
"      \"connections\": 0,\n"
"      \"counters\": {}\n"
"    },\n"
"    {\n"
"      \"role\": \"worker\",\n"
"      \"slot\": 1,\n"
"      \"generation\": 4,\n"
"      \"pid\": 1043,\n"
"      \"state\": \"starting\",\n"
"      \"uptime_seconds\": 59,\n"
"      \"starts\": 4,\n"
"      \"streams\": 500,\n"
"      \"sessions\": 510,\n"
"      \"connections\": 520,\n"
"      \"counters\": {\n"
"        \"handshakes\": 1,\n"
"        \"confirmed\": 0,\n"
"        \"failed\": 0,\n"
"        \"refused\": 0,\n"
"        \"held\": 0,\n"
"        \"registers\": 0,\n"
"        \"opens\": 0,\n"
"        \"lites\": 0,\n"
"        \"bytes_out\": 9007199254740992,\n"
"        \"pauses\": 3,\n"
"        \"conns\": 0,\n"
"        \"conns_full\": 0,\n"
"        \"crowded\": 0,\n"
"        \"proxied\": 0,\n"
"        \"proxy_bad\": 0,\n"
"        \"late\": 0,\n"
"        \"http_bad\": 0,\n"
"        \"sessions_bad\": 0,\n"
"        \"stalled\": 0,\n"
"        \"tls\": 0,\n"
"        \"tls_done\": 0,\n"
"        \"tls_h2\": 0,\n"
"        \"tls_failed\": 0,\n"
"        \"tls_pushed\": 0,\n"
"        \"tls_record_bad\": 0,\n"
"        \"relay_upgrades\": 0,\n"
"        \"relay_logins\": 0,\n"
"        \"relay_refused\": 0,\n"
"        \"relay_limited\": 0,\n"
"        \"relay_evicted\": 0,\n"
"        \"relay_warned\": 0,\n"
"        \"relay_bad\": 0,\n"
"        \"relay_stalled\": 0,\n"
"        \"relay_waits\": 0,\n"
"        \"relay_packets\": 0,\n"
"        \"relay_bytes_in\": 0,\n"
"        \"relay_disco\": 0,\n"
"        \"relay_packets_out\": 0,\n"
"        \"relay_bytes_out\": 0,\n"
"        \"relay_mesh\": 0,\n"
"        \"relay_mesh_in\": 0,\n"
"        \"relay_mesh_bad\": 0,\n"
"        \"relay_dropped\": 0,\n"
"        \"drop_unknown\": 0,\n"
"        \"drop_fwd\": 0,\n"
"        \"drop_gone\": 0,\n"
"        \"drop_head\": 0,\n"
"        \"drop_dup\": 0,\n"
"        \"drop_mesh\": 0,\n"
"        \"drop_source\": 0,\n"
"        \"drop_memory\": 0,\n"
"        \"relay_notices\": 0,\n"
"        \"relay_gone\": 0,\n"
"        \"relay_not_here\": 0,\n"
"        \"relay_pings\": 0,\n"
"        \"relay_pongs\": 0,\n"
"        \"relay_home_in\": 0,\n"
"        \"relay_home_out\": 0,\n"
"        \"relay_unknown\": 0,\n"
"        \"relay_clients\": 0,\n"
"        \"relay_home\": 0,\n"
"        \"relay_dup_keys\": 0,\n"
"        \"relay_dup_conns\": 0\n"
"      }\n"
"    }\n"
"  ],\n"
"  \"tailnets\": [\n"
"    {\n"
"      \"id\": 1,\n"
"      \"name\": \"default\",\n"
"      \"nodes\": 12,\n"
"      \"online\": 10,\n"
"      \"users\": 1,\n"
"      \"seq\": 345,\n"
"      \"policy\": \"allow-all\"\n"
"    }\n"
"  ]\n"
"}\n";

static void
test_status(void **state)
{
	struct out o = showkit_out(false, 0);

	(void)state;
	showkit_status(&o, 1, NULL);
	prints(&o,
"PROCESS  SLOT   PID  STATE      UP  STARTS  STREAMS  SESSIONS  CONNS\n"
"master      -   100  ready      2h       1        -         -      -\n"
"worker      1  1043  starting  59s       4      500       510    520\n"
"\n"
"12 nodes, 10 online, 1 user, seq 345, policy allow-all\n");
	o = showkit_out(false, 0);
	showkit_status(&o, 2, NULL);
	prints(&o,
"PROCESS  SLOT   PID  STATE      UP  STARTS  STREAMS  SESSIONS  CONNS\n"
"master      -   100  ready      2h       1        -         -      -\n"
"worker      1  1043  starting  59s       4      500       510    520\n"
"\n"
"TAILNET  NODES  ONLINE  USERS  SEQ  POLICY\n"
"default     12      10      1  345  allow-all\n"
"default     12      10      1  345  allow-all\n");
	o = showkit_out(true, 0);
	showkit_status(&o, 1, NULL);
	prints(&o, status_json);
}

static void
test_exposure(void **state)
{
	struct out o = showkit_out(false, 0);
	struct show *s;
	struct msg m;
	int i;

	(void)state;
	msg_init(&m, M_CTL_EXPOSED);
	m.u.ctl_exposed.slot = 2;
	m.u.ctl_exposed.generation = 3;
	m.u.ctl_exposed.node = 5;
	m.u.ctl_exposed.name = slice_str("laptop");
	m.u.ctl_exposed.first = NOW_2026 - 90000;
	m.u.ctl_exposed.last = NOW_2026 - 10;
	m.u.ctl_exposed.revoked = true;
	for (i = 0; i < 2; i++) {
		o = showkit_out(i == 1, 0);
		s = show_new(A_EXPOSURE, &o);
		show_row(s, &m);
		show_end(s);
		show_free(s);
		prints(&o, i == 0 ?
"SLOT  GENERATION  NODE  NAME    FIRST    LAST     REVOKED\n"
"   2           3     5  laptop  25h ago  10s ago  yes\n" :
"[\n"
"  {\n"
"    \"slot\": 2,\n"
"    \"generation\": 3,\n"
"    \"node_id\": 5,\n"
"    \"name\": \"laptop\",\n"
"    \"first\": \"2026-09-20T13:13:20Z\",\n"
"    \"last\": \"2026-09-21T14:13:10Z\",\n"
"    \"revoked\": true\n"
"  }\n"
"]\n");
	}
}

static void
test_answers(void **state)
{
	struct m_ctl_key_made k = { 7, slice_str("hskey-a-b"), NOW_2026 };
	struct out o = showkit_out(false, 0);

	(void)state;
	show_key(&o, &k);
	prints(&o, "hskey-a-b\n");
	o = showkit_out(true, 0);
	show_key(&o, &k);
	prints(&o,
"{\n"
"  \"id\": 7,\n"
"  \"key\": \"hskey-a-b\",\n"
"  \"expires\": \"2026-09-21T14:13:20Z\"\n"
"}\n");
	o = showkit_out(true, 0);
	k.expiry = 0;
	show_key(&o, &k);
	buf_u8(&o.text, 0);
	assert_non_null(strstr((char *)o.text.p, "\"expires\": null\n"));
	buf_free(&o.text);
	o = showkit_out(false, 0);
	show_done(&o, 3, "user alice added, id 3", slice_str(NULL));
	show_done(&o, 0, "done", slice_str("2 \x1b"));
	prints(&o, "user alice added, id 3\ndone: 2 \\033\n");
	o = showkit_out(true, 0);
	show_done(&o, 3, "user alice added, id 3", slice_str(NULL));
	show_done(&o, 0, "done", slice_str("why"));
	prints(&o, "{\n  \"id\": 3\n}\n{\n  \"text\": \"why\"\n}\n");
}

static void
test_times(void **state)
{
	static const struct {
		int64_t		 at;
		const char	*want;
	} t[] = {
		{ 0, "never" }, { NOW_2026, "0s ago" },
		{ NOW_2026 - 119, "119s ago" },
		{ NOW_2026 - 120, "2m ago" }, { NOW_2026 + 7199, "in 119m" },
		{ NOW_2026 + 7200, "in 2h" },
		{ NOW_2026 + 2 * 86400, "in 2d" },
		{ NOW_2026 + 3 * 365 * 86400LL, "in 3y" },
		{ -5, "56y ago" },
	};
	struct buf b = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		buf_clear(&b);
		out_when(&b, t[i].at, NOW_2026);
		buf_u8(&b, 0);
		assert_string_equal((char *)b.p, t[i].want);
	}
	buf_clear(&b);
	out_date(&b, 0);
	buf_u8(&b, 0);
	assert_string_equal((char *)b.p, "-");
	buf_free(&b);
}

/* Long texts go through in pieces. */
static void
test_vis(void **state)
{
	static char in[1000];
	struct buf b = { 0 };

	(void)state;
	memset(in, '\x01', sizeof(in));
	out_vis(&b, slice_mem(in, sizeof(in)));
	assert_int_equal(b.n, 4000);
	assert_memory_equal(b.p + 3996, "\\001", 4);
	buf_free(&b);
}

int
main(void)
{
#define T(f)	cmocka_unit_test_teardown(f, teardown)
	const struct CMUnitTest tests[] = {
		T(test_nodes), T(test_nodes_fit), T(test_colour),
		T(test_node_json), T(test_node_lines), T(test_users),
		T(test_keys), T(test_status), T(test_refused),
		T(test_exposure), T(test_answers), T(test_times), T(test_vis),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
