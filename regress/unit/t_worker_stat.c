/* What a worker has counted reaches the field that is meant, whole. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "worker/stat.h"

struct want {
	const char	*name;
	uint64_t	 got;
	uint64_t	 want;
};

/* Each has a digit place of its own: nothing is left out, nothing twice. */
static void
all(const struct want *w, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (w[i].got != w[i].want)
			fail_msg("%s: %llu, not %llu", w[i].name,
			    (unsigned long long)w[i].got,
			    (unsigned long long)w[i].want);
}

static void
test_edge(void **state)
{
	static const struct net_counters n = { .conns = 1, .refused = 2,
	    .plain = 1000000, .http_bad = 3, .head_large = 40,
	    .body_large = 500, .upgrade_bad = 6000, .ws_bad = 70000,
	    .record_bad = 8, .h2_bad = 90, .flooded = 100, .stalled = 11,
	    .late = 21 };
	static const struct edge_counters e = { .proxied = 12,
	    .proxy_bad = 13, .crowded = 14, .tls = 15, .tls_done = 16,
	    .tls_failed = 17, .tls_pushed = 18, .tls_record_bad = 19,
	    .tls_h2 = 20 };
	struct r_counters c;

	(void)state;
	memset(&c, 0, sizeof(c));
	c.handshakes = 77;
	stat_edge(&n, &e, &c);
	{
		const struct want w[] = {
			{ "conns", c.conns, 1 },
			{ "conns_full", c.conns_full, 2 },
			{ "http_bad", c.http_bad, 76543 },
			{ "sessions_bad", c.sessions_bad, 198 },
			{ "stalled", c.stalled, 11 },
			{ "late", c.late, 21 },
			{ "proxied", c.proxied, 12 },
			{ "proxy_bad", c.proxy_bad, 13 },
			{ "crowded", c.crowded, 14 },
			{ "tls", c.tls, 15 },
			{ "tls_done", c.tls_done, 16 },
			{ "tls_failed", c.tls_failed, 17 },
			{ "tls_pushed", c.tls_pushed, 18 },
			{ "tls_record_bad", c.tls_record_bad, 19 },
			{ "tls_h2", c.tls_h2, 20 },
			{ "others", c.handshakes, 77 },
			{ "others", c.relay_refused, 0 },
		};

		all(w, sizeof(w) / sizeof(w[0]));
	}
}

static const struct relay_counters relay = {
	.accepts = 1, .let_in = 2, .refused = 3, .limited = 4, .evicted = 5,
	.warned = 6, .packets_in = 7, .packets_out = 8, .bytes_in = 9,
	.bytes_out = 10, .disco_in = 11, .mesh_in = 12, .mesh_out = 13,
	.dropped_unknown = 1, .dropped_dup = 20, .dropped_head = 300,
	.dropped_gone = 4000, .dropped_mesh = 50000, .dropped_fwd = 600000,
	.dropped_memory = 7000000, .dropped_notices = 14,
	.mesh_refused = 80000000, .mesh_bad = 15, .gone_disconnected = 16,
	.gone_not_here = 17, .pings = 18, .pongs = 19, .stalled = 20,
	.rate_waits = 21, .home_in = 22, .home_out = 23, .unknown_frames = 24,
	.bad_frames = 25, .clients = 26, .home = 27, .dup_keys = 28,
	.dup_conns = 29
};

static void
test_relay(void **state)
{
	struct r_counters c;

	(void)state;
	memset(&c, 0, sizeof(c));
	stat_relay(&relay, &c);
	{
		const struct want w[] = {
			{ "upgrades", c.relay_upgrades, 1 },
			{ "logins", c.relay_logins, 2 },
			{ "refused", c.relay_refused, 3 },
			{ "limited", c.relay_limited, 4 },
			{ "evicted", c.relay_evicted, 5 },
			{ "warned", c.relay_warned, 6 },
			{ "packets", c.relay_packets, 7 },
			{ "packets_out", c.relay_packets_out, 8 },
			{ "bytes_in", c.relay_bytes_in, 9 },
			{ "bytes_out", c.relay_bytes_out, 10 },
			{ "disco", c.relay_disco, 11 },
			{ "mesh_in", c.relay_mesh_in, 12 },
			{ "mesh", c.relay_mesh, 13 },
			{ "notices", c.relay_notices, 14 },
			{ "mesh_bad", c.relay_mesh_bad, 15 },
			{ "gone", c.relay_gone, 16 },
			{ "not_here", c.relay_not_here, 17 },
			{ "pings", c.relay_pings, 18 },
			{ "pongs", c.relay_pongs, 19 },
			{ "stalled", c.relay_stalled, 20 },
			{ "waits", c.relay_waits, 21 },
			{ "home_in", c.relay_home_in, 22 },
			{ "home_out", c.relay_home_out, 23 },
			{ "unknown", c.relay_unknown, 24 },
			{ "bad", c.relay_bad, 25 },
			{ "clients", c.relay_clients, 26 },
			{ "home", c.relay_home, 27 },
			{ "dup_keys", c.relay_dup_keys, 28 },
			{ "dup_conns", c.relay_dup_conns, 29 },
			{ "others", c.conns, 0 },
		};

		all(w, sizeof(w) / sizeof(w[0]));
	}
}

/* No packet is lost for a reason that has no name. */
static void
test_dropped(void **state)
{
	struct r_counters c;

	(void)state;
	memset(&c, 0, sizeof(c));
	stat_relay(&relay, &c);
	{
		const struct want w[] = {
			{ "unknown", c.drop_unknown, 1 },
			{ "dup", c.drop_dup, 20 },
			{ "head", c.drop_head, 300 },
			{ "gone", c.drop_gone, 4000 },
			{ "mesh", c.drop_mesh, 50000 },
			{ "fwd", c.drop_fwd, 600000 },
			{ "memory", c.drop_memory, 7000000 },
			{ "source", c.drop_source, 80000000 },
			{ "all", c.relay_dropped, 87654321 },
		};

		all(w, sizeof(w) / sizeof(w[0]));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_edge),
		cmocka_unit_test(test_relay),
		cmocka_unit_test(test_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
