/* Between the conf*.c files. */

#ifndef MASTER_CONF_INT_H
#define MASTER_CONF_INT_H

#include <confuse.h>

#include "master/conf.h"

#define PATH_LEN_MAX	255	/* what CFG_BOOT and CFG_FILE carry */

/* What the checks work on. */
struct check {
	struct conf	*conf;
	cfg_t		*cfg;
	const char	*dir;
	unsigned int	 cores;
	char		*why;
	size_t		 whylen;
	bool		 failed;
};

/* Remembers the first error, at the key's line. */
void	check_fail(struct check *, const char *path, const char *fmt, ...)
	    __attribute__((__format__(printf, 3, 4)));
/* Adds a warning, at the key's line. */
void	check_warn(struct check *, const char *path, const char *fmt, ...)
	    __attribute__((__format__(printf, 3, 4)));
/* Moves every value from cfg to conf and judges it. */
void	check_all(struct check *);
/* The value of a number's key, judged; unit is for the message. */
uint32_t check_ranged(struct check *, const char *path, uint32_t min,
	    uint32_t max, const char *unit);
/*
 * The path of a file that a key names, else def in dir (which may be
 * absolute), else NULL.  The caller's.
 */
char	*check_file(struct check *, const char *path, const char *dir,
	    const char *def, size_t max);
/* ACME, URLs of DERP maps, who is asked (conf_fetch.c): before check_edge(). */
void	check_fetch(struct check *);
/* TLS, proxies and the relay (conf_edge.c). */
void	check_edge(struct check *);
/* No two of the private keys are the same file: after all the rest. */
void	check_keys(struct check *);
/* The part about server_url, base_domain and DNS (conf_names.c). */
void	check_names(struct check *);

/*
 * A DNS name of at most max octets in lower case, without the one dot that
 * may end it; the caller's.  NULL if it is no name.
 */
char	*names_domain(const char *, size_t max);
/*
 * The host of an URL, n octets: "host", "1.2.3.4", "[2001:db8::1]".  A
 * lower-case name (then the address has family 0) or an address without
 * brackets; the caller's.  NULL if it is neither.
 */
char	*names_host(const char *, size_t n, struct ip *);
/* The number of a port, up to end; 0 if it is none. */
uint16_t names_port(const char *, const char *end);

#endif
