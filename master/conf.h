/*
 * headscaled.conf(5): from text to a checked value.  libconfuse knows the
 * keys and their types; master/conf_scan.h finds what it lets pass;
 * conf_check.c judges the values.  Every message is "file:line: message".
 */

#ifndef MASTER_CONF_H
#define MASTER_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ip.h"
#include "master/conf_edge.h"
#include "master/conf_fetch.h"
#include "master/conf_scan.h"

#define CONF_PATH	"/etc/headscaled/headscaled.conf"

#define CONF_WORKERS_MAX	64
#define CONF_ADDRS_MAX		32
#define CONF_RESOLVERS_MAX	16
#define CONF_SEARCH_MAX		16
#define CONF_SPLITS_MAX		64
#define CONF_SPLIT_RESOLVERS	8
#define CONF_WARNINGS_MAX	12
#define CONF_DOMAINS_MAX	64
#define CONF_PROXIES_MAX	16
#define CONF_PAIRS_MAX		31

struct conf_split {
	char		*suffix;
	char		*resolvers[CONF_SPLIT_RESOLVERS];
	unsigned int	 nresolvers;
};

struct conf_files {			/* absolute paths; NULL: none */
	char		*state_dir;
	char		*run_dir;
	char		*control_socket;
	char		*pid_file;
	char		*chroot;
	char		*libexec_dir;
	char		*noise_key;
	char		*derp_key;	/* of the relay, if it is enabled */
	char		*acme_account;	/* keys, if there is ACME */
	char		*acme_key;
	char		*derp_map;
	char		*records;
	char		*policy;	/* NULL: it is in the database */
};

struct conf_users {
	char		*worker;
	char		*keyd;
	char		*dbd;
	char		*policyc;
	char		*stun;
	char		*out;
	char		*group;		/* may open the control socket */
};

struct conf_limits {
	uint32_t	 connections;	/* a worker */
	uint32_t	 per_source;	/* of them; 0: any number */
	uint32_t	 header_max;
	uint32_t	 body_max;
	uint32_t	 nodes;
	uint32_t	 handshakes;	/* unconfirmed, a KEY link */
	uint32_t	 node_burst;
	uint32_t	 node_refill_ms;
	uint32_t	 worker_queue;
	uint32_t	 change_log;
};

struct conf_times {
	uint32_t	 handshake_s;
	uint32_t	 confirm_ms;
	uint32_t	 idle_s;
	uint32_t	 keepalive_s;
	uint32_t	 stall_s;
	uint32_t	 overload_ms;
	uint32_t	 grace_ms;
	uint32_t	 ephemeral_s;
	uint32_t	 resume_ms;
	uint32_t	 presume_s;
	uint64_t	 node_expiry_s;
};

struct conf {
	char		*path;		/* the main file's name */
	char		*server_url;	/* without a slash at its end */
	char		*server_host;
	uint16_t	 server_port;
	bool		 https;
	bool		 local;		/* the host is a private address */
	char		*base_domain;	/* lower case, no dot at its end */
	struct prefix	 prefix4;	/* family 0: none */
	struct prefix	 prefix6;
	bool		 random;
	unsigned int	 workers;
	struct conf_addr addrs[CONF_ADDRS_MAX];
	unsigned int	 naddrs;
	struct prefix	 proxies[CONF_PROXIES_MAX];
	unsigned int	 nproxies;
	struct conf_pair pairs[CONF_PAIRS_MAX];
	unsigned int	 npairs;
	bool		 self_signed;	/* a certificate for server_host */
	bool		 hsts;
	struct conf_derp derp;
	struct conf_acme acme;
	struct conf_fetch fetch;
	bool		 magic_dns;
	bool		 override_local;
	char		*resolvers[CONF_RESOLVERS_MAX];
	unsigned int	 nresolvers;
	char		*search[CONF_SEARCH_MAX];
	unsigned int	 nsearch;
	struct conf_split splits[CONF_SPLITS_MAX];
	unsigned int	 nsplits;
	char		*domains[CONF_DOMAINS_MAX];
	unsigned int	 ndomains;
	bool		 randomize_port;
	bool		 taildrop;
	bool		 logtail;
	bool		 log_debug;
	bool		 log_stderr;
	struct conf_files files;
	struct conf_users users;
	struct conf_limits limits;
	struct conf_times times;
	char		*warnings[CONF_WARNINGS_MAX];
	unsigned int	 nwarnings;
	struct scan	*scan;		/* where everything stands */
};

/*
 * Reads a configuration of n octets that is called name.  dir: the absolute
 * path that relative ones begin at; cores: what "workers" defaults to, at
 * most 8.  NULL with "file:line: message" in why.
 */
struct conf	*conf_parse(const char *name, const char *, size_t n,
		    const char *dir, unsigned int cores,
		    const struct scan_env *, char *why, size_t whylen);
/*
 * The same from a file and what it includes; each must be safe (path.h).
 * Relative paths begin at the folder of the main file.
 */
struct conf	*conf_load(const char *path, const struct scan_macro *,
		    size_t nmacros, char *why, size_t whylen);
/* NULL is fine. */
void		 conf_free(struct conf *);
/*
 * False, with the reason, if b differs from a in what only a restart can
 * change (users, paths of the process, number of workers).
 */
bool		 conf_reloadable(const struct conf *a, const struct conf *b,
		    char *why, size_t whylen);
/* "file:line" of a key, for messages about its value. */
void		 conf_where(const struct conf *, const char *path, char *dst,
		    size_t);

#endif
