/*
 * The outer loop of a daemon: libevent, the real clock and entropy behind
 * struct env, imsg links over sockets.  The only file that knows libevent.
 */

#ifndef COMMON_EV_H
#define COMMON_EV_H

#include "common/env.h"
#include "common/link.h"

struct ev;
struct ev_fd;

#define EV_F_READ	1
#define EV_F_WRITE	2

/* One a process.  Never NULL. */
struct ev	*ev_new(void);
/*
 * The same for few descriptors: it waits by poll(2) alone, and needs no other
 * call and no descriptor of its own for it.
 */
struct ev	*ev_new_poll(void);
void		 ev_free(struct ev *);
/* The world for the role's core; lives as long as the loop. */
struct env	*ev_env(struct ev *);

/*
 * Calls fn(fd, EV_F_ bits, arg) while the wanted events are ready
 * (level-triggered).  The descriptor stays the caller's.
 */
struct ev_fd	*ev_fd_add(struct ev *, int fd, unsigned int want,
		    void (*fn)(int fd, unsigned int got, void *arg), void *arg);
/* Changes what is wanted; 0 pauses. */
void		 ev_fd_want(struct ev_fd *, unsigned int want);
/* Before the descriptor is closed.  NULL is fine. */
void		 ev_fd_del(struct ev_fd *);
/* Calls fn(signo, arg) from the loop. */
void		 ev_signal(struct ev *, int signo, void (*fn)(int, void *),
		    void *arg);

/*
 * A link over a connected UNIX stream socket, which it owns from now on.
 * Descriptors are accepted only if the table has fd rows that self receives
 * on this kind of link; else it is read with read(2).  Buffers of secret
 * messages are wiped.  What was queued is written at the end of each turn.
 * Free it with link_free().
 */
struct link	*ev_link(struct ev *, const struct link_conf *, int fd);

/*
 * Writes at once, and not at the end of the turn, what is queued for the link,
 * as far as its socket takes it.  wait (us, 0: don't) is for who can do
 * nothing else, and never for a handler of the same link: until the peer says
 * something, which is then handed over, or is gone (link_is_down()).  False:
 * nothing happened for so long.
 */
bool		 ev_link_now(struct ev *, struct link *, uint64_t wait);

/*
 * Runs until ev_stop() or env_end().  After each round of ready descriptors
 * and timers, turn(arg) is called (may be NULL): the inbox is drained, now
 * commit, flush, write.  At most 64 KB are read from a link in a round.
 */
void		 ev_run(struct ev *, void (*turn)(void *), void *arg);
void		 ev_stop(struct ev *);
/* Another turn will come at once, without waiting for an event. */
void		 ev_again(struct ev *);

#endif
