/* What a configuration says of the edge: listeners, TLS, the relay, STUN. */

#ifndef MASTER_CONF_EDGE_H
#define MASTER_CONF_EDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/ip.h"

/* What is spoken on a socket: CFG_LISTEN's kinds. */
enum conf_kind {
	CONF_PLAIN,
	CONF_TLS,
	CONF_EITHER,		/* told apart by the first octet */
	CONF_UDP
};

/* One address to listen on; listen "x" { address = "*" } makes two. */
struct conf_addr {
	struct ipport	 at;
	enum conf_kind	 kind;
	bool		 proxy;		/* with a PROXY header in front */
	bool		 any;		/* from "*": may be missing on a host */
	unsigned int	 section;	/* which listen section, from 0 */
	char		*where;		/* file:line */
};

/* tls { keypair "NAME" { ... } }: absolute paths. */
struct conf_pair {
	char		*name;
	char		*certificate;
	char		*key;
};

#define CONF_VERIFY_MAX	64	/* CFG_CONF_WORKER's verify_from */

/* derp { server { ... } } */
struct conf_derp {
	struct prefix	 verify_from[CONF_VERIFY_MAX];	/* derp's own: who */
	unsigned int	 nverify_from;	/* may ask /verify; 0: everybody */
	bool		 enabled;
	bool		 plain;
	bool		 insecure;	/* insecure_for_tests */
	bool		 in_map;
	bool		 verify;
	uint16_t	 region;
	uint16_t	 port;		/* what clients dial, */
	uint16_t	 stun_port;	/* and ask; 0: no STUN */
	bool		 port80;	/* plain http there, at ip4 */
	char		*code;
	char		*name;
	char		*ip4;		/* literal, "none" or "" */
	char		*ip6;
	uint32_t	 rate;		/* octets/s of a client; 0: any */
	uint32_t	 burst;
	struct conf_addr stun[2];
	unsigned int	 nstun;
	uint32_t	 stun_rate;	/* answers a second of a source */
	uint32_t	 stun_burst;
};

#endif
