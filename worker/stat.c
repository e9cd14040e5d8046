#include "worker/stat.h"

void
stat_edge(const struct net_counters *n, const struct edge_counters *e,
    struct r_counters *to)
{
	to->conns = n->conns;
	to->conns_full = n->refused;
	to->crowded = e->crowded;
	to->proxied = e->proxied;
	to->proxy_bad = e->proxy_bad;
	to->late = n->late;
	to->http_bad = n->http_bad + n->head_large + n->body_large +
	    n->upgrade_bad + n->ws_bad;
	to->sessions_bad = n->record_bad + n->h2_bad + n->flooded;
	to->stalled = n->stalled;
	to->tls = e->tls;
	to->tls_done = e->tls_done;
	to->tls_h2 = e->tls_h2;
	to->tls_failed = e->tls_failed;
	to->tls_pushed = e->tls_pushed;
	to->tls_record_bad = e->tls_record_bad;
}

static void
drops(const struct relay_counters *c, struct r_counters *to)
{
	to->drop_unknown = c->dropped_unknown;
	to->drop_fwd = c->dropped_fwd;
	to->drop_gone = c->dropped_gone;
	to->drop_head = c->dropped_head;
	to->drop_dup = c->dropped_dup;
	to->drop_mesh = c->dropped_mesh;
	to->drop_source = c->mesh_refused;
	to->drop_memory = c->dropped_memory;
	to->relay_dropped = to->drop_unknown + to->drop_fwd + to->drop_gone +
	    to->drop_head + to->drop_dup + to->drop_mesh + to->drop_source +
	    to->drop_memory;
}

void
stat_relay(const struct relay_counters *c, struct r_counters *to)
{
	to->relay_upgrades = c->accepts;
	to->relay_logins = c->let_in;
	to->relay_refused = c->refused;
	to->relay_limited = c->limited;
	to->relay_evicted = c->evicted;
	to->relay_warned = c->warned;
	to->relay_packets = c->packets_in;
	to->relay_packets_out = c->packets_out;
	to->relay_bytes_in = c->bytes_in;
	to->relay_bytes_out = c->bytes_out;
	to->relay_disco = c->disco_in;
	to->relay_mesh = c->mesh_out;
	to->relay_mesh_in = c->mesh_in;
	to->relay_mesh_bad = c->mesh_bad;
	to->relay_notices = c->dropped_notices;
	to->relay_gone = c->gone_disconnected;
	to->relay_not_here = c->gone_not_here;
	to->relay_pings = c->pings;
	to->relay_pongs = c->pongs;
	to->relay_stalled = c->stalled;
	to->relay_waits = c->rate_waits;
	to->relay_home_in = c->home_in;
	to->relay_home_out = c->home_out;
	to->relay_unknown = c->unknown_frames;
	to->relay_bad = c->bad_frames;
	to->relay_clients = c->clients;
	to->relay_home = c->home;
	to->relay_dup_keys = c->dup_keys;
	to->relay_dup_conns = c->dup_conns;
	drops(c, to);
}
