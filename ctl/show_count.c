#include <string.h>

#include "ctl/show_int.h"

#define W	(1U << ROLE_WORKER)
#define K	(1U << ROLE_KEYD)
#define D	(1U << ROLE_DBD)
#define S	(1U << ROLE_STUN)

#define AT(field)	#field, offsetof(struct r_counters, field)
/* Of our own; as Tailscale's derper calls it; and the same with a label. */
#define OURS(roles, help)	roles, false, NULL, NULL, help
#define THEIRS(roles, metric, help)	roles, false, metric, NULL, help
#define LABEL(roles, metric, label, help) \
	roles, false, metric, label, help
#define GAUGE(roles, metric, help)	roles, true, metric, NULL, help
#define DROPPED		"derp_packets_dropped"
#define STUN		"stun_requests"

/* headscalectl(8) says what each is.  Those of a metric stand together. */
static const struct count list[] = {
	{ AT(handshakes), OURS(W | K,
	    "Noise handshakes begun (worker) or answered (keyd).") },
	{ AT(confirmed), OURS(W | K,
	    "Noise handshakes that became a session.") },
	{ AT(failed), OURS(W, "Noise handshakes that were refused or lost.") },
	{ AT(refused), OURS(W | K | D, "Requests refused for load (worker), "
	    "forged initiations (keyd), registrations refused (dbd).") },
	{ AT(expired), OURS(K, "Noise handshakes given up.") },
	{ AT(held), OURS(W, "Requests that had to wait for less load.") },
	{ AT(registers), OURS(W | D,
	    "Registrations asked for (worker) or let in (dbd).") },
	{ AT(opens), OURS(W | D, "Map streams and single maps.") },
	{ AT(lites), OURS(W | D, "Updates that clients sent of themselves.") },
	{ AT(bytes_out), OURS(W, "Octets written to clients.") },
	{ AT(pauses), OURS(W, "How often it stopped accepting.") },
	{ AT(waiting), GAUGE(K | D, NULL, "Handshakes open (keyd), requests "
	    "that wait for a budget (dbd).") },
	{ AT(delayed), OURS(D, "Requests that had to wait for a budget.") },
	{ AT(replaced), OURS(D, "Of these, those that never ran.") },
	{ AT(no_room), OURS(D, "Registrations refused by max_nodes.") },
	{ AT(batches), OURS(D, "Commits to the database.") },
	{ AT(operations), OURS(D, "What was done in them.") },
	{ AT(behind), OURS(D, "Workers replaced because they did not read.") },
	{ AT(signatures), OURS(K, "Signatures for TLS handshakes.") },
	{ AT(conns), OURS(W, "Connections taken.") },
	{ AT(conns_full), OURS(W, "Connections beyond limits.connections.") },
	{ AT(crowded), OURS(W, "Connections beyond those of one source.") },
	{ AT(proxied), OURS(W, "PROXY headers believed.") },
	{ AT(proxy_bad), OURS(W, "PROXY headers malformed or from a "
	    "stranger.") },
	{ AT(late), OURS(W, "Connections without a handshake or request in "
	    "time.") },
	{ AT(http_bad), OURS(W, "HTTP requests and upgrades malformed or too "
	    "large.") },
	{ AT(sessions_bad), OURS(W, "Sessions ended for what the client "
	    "sent.") },
	{ AT(stalled), OURS(W, "Streams and connections that stood still.") },
	{ AT(tls), OURS(W, "TLS handshakes begun.") },
	{ AT(tls_done), OURS(W, "TLS handshakes done.") },
	{ AT(tls_h2), OURS(W, "Of these, those that chose HTTP/2.") },
	{ AT(tls_failed), OURS(W, "TLS handshakes that failed.") },
	{ AT(tls_pushed), OURS(W, "TLS handshakes that made room.") },
	{ AT(tls_record_bad), OURS(W, "Bad TLS records after a handshake.") },
	{ AT(relay_upgrades), THEIRS(W, "derp_accepts",
	    "Connections that asked for the relay.") },
	{ AT(relay_logins), OURS(W | K | D,
	    "Relay clients let in (worker, dbd) or proven (keyd).") },
	{ AT(relay_refused), OURS(W | D, "Relay clients refused.") },
	{ AT(relay_limited), OURS(W, "Of these, logins of one key too "
	    "often.") },
	{ AT(relay_evicted), OURS(W, "Relay clients that made room for a "
	    "newer one of their key.") },
	{ AT(relay_warned), OURS(W, "Relay clients told that others use their "
	    "key.") },
	{ AT(relay_bad), OURS(W, "Relay clients closed for what they "
	    "sent.") },
	{ AT(relay_stalled), THEIRS(W, "derp_sclient_write_timeouts",
	    "Relay clients closed because they took nothing.") },
	{ AT(relay_waits), OURS(W, "How often a relay client was read slower "
	    "than it sent.") },
	{ AT(relay_packets), THEIRS(W, "derp_packets_received",
	    "Packets taken from relay clients.") },
	{ AT(relay_bytes_in), THEIRS(W, "derp_bytes_received",
	    "Octets of them.") },
	{ AT(relay_disco), OURS(W, "Packets of NAT traversal among them.") },
	{ AT(relay_packets_out), THEIRS(W, "derp_packets_sent",
	    "Packets given to relay clients.") },
	{ AT(relay_bytes_out), THEIRS(W, "derp_bytes_sent",
	    "Octets of them.") },
	{ AT(relay_mesh), THEIRS(W, "derp_packets_forwarded_out",
	    "Packets given to other workers.") },
	{ AT(relay_mesh_in), THEIRS(W, "derp_packets_forwarded_in",
	    "Packets of other workers' clients for ours.") },
	{ AT(relay_mesh_bad), OURS(W, "Links to other workers lost for what "
	    "came.") },
	/* The sum of the next ones: no metric of its own. */
	{ AT(relay_dropped), W, false, "", NULL, NULL },
	{ AT(drop_unknown), LABEL(W, DROPPED, "reason=\"unknown_dest\"",
	    "Packets that nobody got.") },
	{ AT(drop_fwd), LABEL(W, DROPPED, "reason=\"unknown_dest_on_fwd\"",
	    NULL) },
	{ AT(drop_gone), LABEL(W, DROPPED, "reason=\"gone_disconnected\"",
	    NULL) },
	{ AT(drop_head), LABEL(W, DROPPED, "reason=\"queue_head\"", NULL) },
	{ AT(drop_dup), LABEL(W, DROPPED, "reason=\"dup_client\"", NULL) },
	{ AT(drop_mesh), LABEL(W, DROPPED, "reason=\"worker_link\"", NULL) },
	{ AT(drop_source), LABEL(W, DROPPED, "reason=\"worker_source\"",
	    NULL) },
	{ AT(drop_memory), LABEL(W, DROPPED, "reason=\"memory\"", NULL) },
	{ AT(relay_notices), OURS(W, "Notices of who went that were not "
	    "kept.") },
	{ AT(relay_gone), THEIRS(W, "derp_peer_gone_disconnected_frames",
	    "Notices sent of who went.") },
	{ AT(relay_not_here), THEIRS(W, "derp_peer_gone_not_here_frames",
	    "Notices sent of who is not here.") },
	{ AT(relay_pings), THEIRS(W, "derp_got_ping",
	    "Pings of relay clients.") },
	{ AT(relay_pongs), THEIRS(W, "derp_sent_pong", "Answers to them.") },
	{ AT(relay_home_in), THEIRS(W, "derp_home_moves_in",
	    "Relay clients that made this relay their home.") },
	{ AT(relay_home_out), THEIRS(W, "derp_home_moves_out",
	    "Relay clients that took another home.") },
	{ AT(relay_unknown), THEIRS(W, "derp_unknown_frames",
	    "Frames of a kind that is none.") },
	{ AT(relay_clients), GAUGE(W, "derp_current_connections",
	    "Relay clients now.") },
	{ AT(relay_home), GAUGE(W, "derp_current_home_connections",
	    "Relay clients whose home it is.") },
	{ AT(relay_dup_keys), GAUGE(W, "derp_current_dup_client_keys",
	    "Keys that several relay clients use.") },
	{ AT(relay_dup_conns), GAUGE(W, "derp_current_dup_client_conns",
	    "Relay clients that use them.") },
	{ AT(stun_answered), LABEL(S, STUN, "disposition=\"success\"",
	    "STUN datagrams, by what became of them.") },
	{ AT(stun_malformed), LABEL(S, STUN, "disposition=\"not_stun\"",
	    NULL) },
	{ AT(stun_sources), LABEL(S, STUN, "disposition=\"bad_source\"",
	    NULL) },
	{ AT(stun_limited), LABEL(S, STUN, "disposition=\"rate_limited\"",
	    NULL) },
	{ AT(fetches), OURS(D, "DERP maps asked for.") },
	{ AT(fetches_failed), OURS(D, "DERP maps that did not come.") },
	{ AT(probes), OURS(D, "Relays asked how they are.") },
	{ AT(probes_failed), OURS(D, "Relays that did not answer.") },
	{ AT(certs), OURS(D, "Certificates had by ACME.") },
	{ AT(certs_failed), OURS(D, "Times that there was none to be "
	    "had.") },
};

static const struct column columns[COUNT_COLUMNS] = {
	{ "PROCESS", 0, false },
	{ "SLOT", 0, true },
	{ "COUNTER", 0, false },
	{ "VALUE", 0, true },
};

const struct column *
count_columns(void)
{
	return columns;
}

const struct count *
count_list(size_t *n)
{
	*n = sizeof(list) / sizeof(list[0]);
	return list;
}

bool
count_get(const struct count *c, const struct m_ctl_proc *p, uint64_t *v)
{
	if (p->role >= ROLE_MAX || (c->roles & 1U << p->role) == 0)
		return false;
	memcpy(v, (const char *)&p->counts + c->at, sizeof(*v));
	return true;
}

void
count_cells(struct table *t, const struct m_ctl_proc *p)
{
	uint64_t v;
	size_t i;

	for (i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		if (!count_get(&list[i], p, &v))
			continue;
		buf_str(table_cell(t, COLOUR_NONE), role_name(p->role));
		if (p->slot == 0)
			text_cell(t, slice_str(NULL));
		else
			number_cell(t, p->slot);
		buf_str(table_cell(t, COLOUR_NONE), list[i].name);
		number_cell(t, v);
	}
}

void
count_json(struct json *j, const struct m_ctl_proc *p)
{
	uint64_t v;
	size_t i;

	json_key(j, "counters");
	json_obj(j);
	for (i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (count_get(&list[i], p, &v)) {
			json_key(j, list[i].name);
			json_u64(j, v);
		}
	json_end(j);
}
