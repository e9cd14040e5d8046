/* What a configuration says of the outside: ACME, DERP maps from URLs. */

#ifndef MASTER_CONF_FETCH_H
#define MASTER_CONF_FETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/ip.h"

#define CONF_NAMES_MAX		32
#define CONF_CONTACTS_MAX	8
#define CONF_URLS_MAX		8
#define CONF_ALLOW_MAX		64

struct conf;

/* acme { ... }; no names: there is none. */
struct conf_acme {
	char		*directory;
	char		*names[CONF_NAMES_MAX];	/* lower case, or addresses */
	unsigned int	 nnames;
	char		*contact[CONF_CONTACTS_MAX];	/* mailto: */
	unsigned int	 ncontacts;
	bool		 alpn;		/* tls-alpn-01, else http-01 */
};

/* fetch { ... }, and what of derp { ... } is done by it. */
struct conf_fetch {
	char		*urls[CONF_URLS_MAX];
	unsigned int	 nurls;
	uint32_t	 update_s;
	uint32_t	 avoid_s;	/* 0: never */
	struct prefix	 allow[CONF_ALLOW_MAX];
	unsigned int	 nallow;
	char		*ca;		/* NULL: the system's */
};

/* Whether a process that connects out is needed. */
enum conf_out {
	CONF_OUT_NONE,
	CONF_OUT_MAY,		/* only to ask relays of a map how they are */
	CONF_OUT_MUST		/* a certificate or a DERP map is fetched */
};

enum conf_out	 conf_out(const struct conf *);
/* Frees what check_fetch() has made. */
void		 conf_fetch_free(struct conf *);

#endif
