/*
 * worker/net with certificates and clients of TLS before it, joined in memory:
 * what tests of TLS share.  Whatever does not go as a function here says fails
 * the test that calls it.
 */

#ifndef REGRESS_LIB_TLSWORLD_H
#define REGRESS_LIB_TLSWORLD_H

#include "regress/lib/certkit.h"
#include "regress/lib/networld.h"

/* A request; it is answered 200 with the client's address. */
#define TW_ASK	"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"

struct tlsworld {
	struct networld	*w;
	struct certkit	*kit;
	struct tls	*tls;		/* freed at the end; may be NULL */
};

/* A client and its connection. */
struct tlspeer {
	struct tlsclient *c;
	struct conn	*conn;		/* NULL: the server closed it */
	size_t		 piece;		/* octets at once; 0: all */
	bool		 mute;
};

/*
 * Of cmocka: *state is a world whose server has one certificate, for a.example
 * and *.b.example, and whose clients come from 192.0.2.7.
 */
int		 tw_setup(void **state);
int		 tw_teardown(void **state);
/* A connection that has sent nothing; .c is NULL and the caller's to set. */
struct tlspeer	 tw_raw(struct tlsworld *, enum conn_kind);
/* A client after its handshake, as far as that went; conf as tlsclient_new. */
struct tlspeer	 tw_dial(struct tlsworld *, const struct tlsclient_conf *);
/* Moves octets both ways until nothing moves. */
void		 tw_move(struct tlsworld *, struct tlspeer *);
/* Frees both ends. */
void		 tw_end(struct tlspeer *);
/* The text is somewhere in it. */
bool		 tw_has(const struct buf *, const char *text);
/* A request and its answer, on a connection whose handshake is done. */
void		 tw_talk(struct tlsworld *, struct tlspeer *);
/*
 * Sends n octets that are no ClientHello on a connection of their own: the
 * answer is one alert, of number want, and the connection ends.
 */
void		 tw_garbage(struct tlsworld *, const char *, size_t n,
		    int want);

#endif
