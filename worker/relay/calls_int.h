/* Inside worker/relay: what its files ask of each other. */

#ifndef WORKER_RELAY_CALLS_INT_H
#define WORKER_RELAY_CALLS_INT_H

#include "worker/relay/login_int.h"

/* client.c: a connection's life. */

/* It goes live: in the tables, its ServerInfo goes out. */
void		 client_live(struct rclient *, const struct m_db_relay_ok *);
/* What keyd signed for it. */
void		 client_ticket(const struct rclient *,
		    const uint8_t key[DERP_KEY], struct r_ticket *);
/* It is done: out of all tables; others learn it.  Twice is fine. */
void		 client_end(struct rclient *, const char *why);
void		 client_kick(struct rclient *);
struct rclient	*client_by_serial(struct relay *, uint64_t gen,
		    uint64_t serial);
/* True if n octets may be read of it now; else it waits until they may. */
bool		 limit_take(struct rclient *, uint32_t n);
/* A full bucket by the configuration, or none. */
void		 limit_reset(struct rclient *);

/* input.c: a live client's frames.  Returns how much it took, > 0. */
size_t		 live_input(struct rclient *, const uint8_t *, size_t n);

/* login.c */

/* False: too many logins are under way, in all or from there (if not NULL). */
bool		 login_room(struct relay *, const struct ip *from);
void		 login_new(struct rclient *);
void		 login_free(struct rclient *);
size_t		 login_input(struct rclient *, const uint8_t *, size_t n);
/* Asks keyd or dbd for those that wait for one of them. */
void		 logins_ask(struct relay *);
/* The link is another: what was asked there will not be answered. */
void		 logins_lost(struct relay *, enum rc_state);
void		 login_key_ok(struct rclient *, const struct m_key_derp_ok *);
void		 login_refuse(struct rclient *, const char *why);

/* peer.c: who has a key, and who has seen its packets. */

struct peer	*peer_find(const struct relay *, const uint8_t key[DERP_KEY]);
struct peer	*peer_get(struct relay *, const uint8_t key[DERP_KEY]);
void		 peer_join(struct peer *, struct rclient *);
void		 peer_leave(struct rclient *);
/* Nobody has it any more: those who saw it are told, and it is freed. */
void		 peer_settle(struct relay *, struct peer *);
/* Frees it without a word. */
void		 peer_free(struct relay *, struct peer *);
/* The client spoke: it is the active one of its key. */
void		 peer_spoke(struct rclient *);
/*
 * The key went from one of its connections to another.  When that happens
 * again and again those here are told (derp.md 4.6, Health), each once.
 */
void		 peer_turn(struct relay *, struct peer *);
/* A while has passed: it is told if there is nothing of that any more. */
void		 peer_calm(struct rclient *);
void		 seen_note(struct relay *, struct peer *, struct rclient *);
void		 seen_forget(struct rclient *);

/* source.c: logins by where they come from; NULL: without bounds. */

/* False: too many are under way from there, or were refused of late. */
bool		 source_may(const struct relay *, const struct ip *);
/* One from there is under way, or is no more; it may be freed then. */
struct source	*source_join(struct relay *, const struct ip *);
void		 source_leave(struct relay *, struct source *);
/* keyd or dbd let one from there not in. */
void		 source_refused(struct relay *, struct source *);
/* So many were refused that no more are asked about for now. */
bool		 source_is_bad(const struct relay *, const struct source *);
void		 sources_free(struct relay *);

/* memory.c: when it is short. */

/* As pkt_new(), but others' packets may be dropped for it. */
struct pkt	*mem_pkt(struct relay *, size_t n);
/*
 * A part of a frame that is held in p with used octets gets room for n more;
 * NULL: there is none, and p is as before.
 */
struct pkt	*mem_grow(struct relay *, struct pkt *p, size_t used,
		    size_t n);

/* route.c: packets to where they belong. */

/*
 * body: a SendPacket's payload, n octets; p holds it and is taken over, or is
 * NULL and body is copied.
 */
void		 route(struct rclient *, const uint8_t *body, size_t n,
		    struct pkt *p);
/* For a client of ours, from a sibling's. */
void		 route_mesh(struct relay *, struct peer *src,
		    const struct m_mesh_packet *);

/* output.c: what waits for a client. */

/* ServerKey waits; nobody is told. */
void		 out_init(struct rclient *);
/* Appends a packet; the oldest ones may be dropped for it. */
void		 out_packet(struct rclient *, struct pkt *);
void		 out_frame(struct rclient *, enum derp_type, const void *,
		    size_t n);
void		 out_gone(struct rclient *, const uint8_t key[DERP_KEY],
		    enum derp_gone);
/* There is something new to write. */
void		 out_pending(struct rclient *);
/* Drops the oldest packets that wait, of n octets or more; how many. */
uint32_t	 out_drop(struct rclient *, size_t n);
/* Drops all of it. */
void		 out_free(struct rclient *);
/* The next look at who stalls. */
void		 stall_at(struct relay *, uint64_t at);

/* db.c */

/* DB_RELAY_CLOSE and DB_RELAY_ACTIVE, if dbd is there to hear it. */
void		 db_close(struct rclient *);
/* True if it was said; it is not said all the time. */
bool		 db_active(struct rclient *);
bool		 db_is_up(const struct relay *);

/* mesh.c: the sibling of a slot. */

/* False: no credit (the last of it is for disco), or it is down. */
bool		 mesh_send(struct relay *, uint16_t slot, const uint8_t *src,
		    const uint8_t *dst, const void *, size_t n, bool disco);
bool		 mesh_is_up(const struct relay *, uint16_t slot);

/* wheel.c: keep-alives. */

void		 wheel_init(struct relay *);
void		 wheel_add(struct rclient *);
void		 wheel_del(struct rclient *);

#endif
