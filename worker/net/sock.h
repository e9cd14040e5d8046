/*
 * The thin outer part of worker/net: TCP sockets over common/ev.h.  Accepts,
 * reads, writes, closes; everything else is the core's.
 */

#ifndef WORKER_NET_SOCK_H
#define WORKER_NET_SOCK_H

#include "common/ev.h"
#include "worker/net/net.h"

struct sock_set;

/*
 * on_pause(true, arg): nothing is accepted for a while, because descriptors
 * ran out or max_conns are there; false: it goes on.  net's kick() must call
 * sock_kick().  The limit of open files (RLIMIT_NOFILE) is asked for now: 128
 * of them, or half if they are few, are not used for connections.  Never NULL.
 */
struct sock_set	*sock_new(struct ev *, struct net *,
		    void (*on_pause)(bool, void *), void *arg);
/* Closes everything and frees the connections; before net_free(). */
void		 sock_free(struct sock_set *);
/*
 * A listening socket, owned from now on: the listener of this number of a
 * worker slot.  Takes the place of one that is there already.  kind and proxy
 * are its connections'; one of CONN_K_TLS accepts only while
 * net_tls_is_ready(), which is asked in each sock_turn().
 */
void		 sock_listen(struct sock_set *, unsigned int listener,
		    unsigned int slot, enum conn_kind, bool proxy, int fd);
/* Closes the listener's sockets of all slots. */
void		 sock_unlisten(struct sock_set *, unsigned int listener);
/* Whether to accept on the listeners of a slot, those to come included. */
void		 sock_accept(struct sock_set *, unsigned int slot, bool);
/* For net's kick(): it is seen to in the next sock_turn(). */
void		 sock_kick(struct sock_set *, struct conn *);
/* At the end of each turn: writes, closes. */
void		 sock_turn(struct sock_set *);

#endif
