/* Between the generator's own files. */

#ifndef REGRESS_LIB_DERPLOAD_INT_H
#define REGRESS_LIB_DERPLOAD_INT_H

#include <openssl/ssl.h>

#include "common/compat/compat.h"
#include "regress/lib/derpload.h"

#define DL_IN		(256 * 1024)	/* octets of a recv(2) */
#define DL_RECORD	16384
#define DL_EVENTS	256

struct dl_rec;		/* the keys of a connection */

struct dl_key {
	uint8_t		 pub[32], priv[32];
	uint8_t		 shared[32];	/* with the relay's key */
	bool		 known;		/* shared is */
};

enum dl_state {
	DL_TCP,		/* connects */
	DL_TLS,
	DL_HTTP,	/* its answer */
	DL_KEY,		/* ServerKey */
	DL_INFO,	/* ServerInfo */
	DL_UP,
	DL_DEAD		/* freed with the next dl_poll() */
};

struct dl_conn {
	struct dl	*dl;
	int		 fd;
	SSL		*ssl;		/* until the handshake is done */
	struct dl_rec	*rec;		/* NULL: plain, or not yet */
	uint8_t		 rx[32], tx[32];	/* their secrets */
	struct buf	 sealed;	/* of a record that came */
	enum dl_state	 state;
	bool		 get;		/* wants a 204 only */
	bool		 fast;
	bool		 polled_out;
	bool		 dirty;		/* in dl->dirty */
	unsigned int	 key;
	uint64_t	 begun;
	struct buf	 out;		/* for the socket */
	struct buf	 part;		/* of a frame, or of a HTTP head */
	struct dl_of	 of;
	struct dl_conn	*next;		/* of dl->dirty or dl->dead */
	LIST_ENTRY(dl_conn) all;
};

/* Those who stay. */
struct dl_pool {
	struct dl_conn	**c;
	unsigned int	 n;
};

struct dl {
	struct dl_conf	 conf;
	struct dl_ops	 ops;
	SSL_CTX		*ctx;
	BIO_METHOD	*bio;
	int		 ep;
	struct dl_key	*keys;
	unsigned int	 nkeys;
	uint8_t		 relay[32];	/* its key */
	bool		 known;
	uint64_t	 fast;
	struct dl_pool	 pool;
	LIST_HEAD(, dl_conn) all;	/* but the dead */
	struct dl_conn	*dead, *dirty;
	struct dl_conn	*packing;	/* whose packets are in pack */
	struct buf	 pack;
	struct slice	 in;		/* of raw: not taken yet */
	uint8_t		 raw[DL_IN];	/* what recv(2) brought */
};

/* Closes all whose login is under way. */
void		 dl_close_begun(struct dl *);
/* The end of a client, which the step hears of. */
void		 dl_fail(struct dl_conn *, const char *why);
/* Octets in clear, which leave with dl_flush(). */
void		 dl_put(struct dl_conn *, const void *, size_t);
/* In regress/lib/derpload_rec.c: both ways, by their secrets. */
struct dl_rec	*dl_rec_new(const uint8_t rx[32], const uint8_t tx[32]);
void		 dl_rec_free(struct dl_rec *);
/* Appends a record; n <= DL_RECORD. */
void		 dl_rec_seal(struct dl_rec *, const uint8_t *, size_t n,
		    struct buf *);
/* Opens whole records in place, for dl_clear(); the octets that they take. */
size_t		 dl_rec_open(struct dl_conn *, uint8_t *, size_t n);
/* In regress/lib/derpload_login.c: what comes in clear, until it is up. */
void		 dl_start(struct dl_conn *);
void		 dl_clear(struct dl_conn *, const uint8_t *, size_t);
/* This key's; makes those that are missing. */
struct dl_key	*dl_key(struct dl *, unsigned int);

#endif
