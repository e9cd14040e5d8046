/*
 * A policy as its text says it, checked (policy.md 2 to 17).  Everything lives
 * in the compile's arena and dies with it.
 */

#ifndef DBD_POLICY_AST_H
#define DBD_POLICY_AST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/ip.h"

struct arena;

struct pos {
	uint32_t	 line;		/* from 1 */
	uint32_t	 column;	/* from 1, octets */
};

enum alias_kind {
	AL_PREFIX, AL_STAR, AL_DOMAIN, AL_USER, AL_GROUP, AL_TAG, AL_AUTO,
	AL_HOST
};

enum autogroup {
	AG_NONE, AG_INTERNET, AG_MEMBER, AG_TAGGED, AG_SELF, AG_DANGER_ALL,
	AG_NONROOT, AG_OWNER, AG_ADMIN,
	AG_NOBODY	/* of a role that users here cannot have */
};

struct alias {
	enum alias_kind	 kind;
	enum autogroup	 ag;		/* AL_AUTO */
	struct slice	 text;		/* trimmed where policy.md 3.1 trims */
	struct prefix	 prefix;	/* masked; family 0: no such host */
	bool		 slash;		/* the text has a length */
	struct pos	 pos;
};

struct aliases { struct alias *v; size_t n; };

struct ports {
	struct { uint16_t first, last; } *v;
	size_t		 n;
};

struct strs { struct slice *v; size_t n; };

/* One destination of an ACL. */
struct acl_dst {
	struct alias	 alias;
	struct ports	 ports;
};

struct acl {
	struct pos	 pos;
	uint8_t		 proto;		/* 0: none named */
	struct aliases	 src;
	struct acl_dst	*dst;
	size_t		 ndst;
};

struct grant_ip {
	uint8_t		 proto;		/* 0: none named */
	struct ports	 ports;
};

struct grant_app {
	struct slice	 name, json;	/* json: its values, standard JSON */
};

struct grant {
	struct pos	 pos;
	struct aliases	 src, dst, via;
	struct grant_ip	*ip;
	size_t		 nip;
	struct grant_app *app;
	size_t		 napp;
};

struct ssh {
	struct pos	 pos;
	bool		 check;
	int64_t		 period;	/* seconds; 0: always; default 12 h */
	struct aliases	 src, dst;
	struct strs	 users;		/* as written, trimmed */
	struct strs	 env;
};

struct node_attr {
	struct pos	 pos;
	struct aliases	 target;
	struct strs	 attr;
};

struct approver {
	struct pos	 pos;
	bool		 exit;
	struct prefix	 route;
	struct aliases	 who;
};

struct named {			/* a group or a tag's owners */
	struct pos	 pos;
	struct slice	 name;		/* with "group:" or "tag:" */
	struct aliases	 member;
};

struct host {
	struct slice	 name;
	struct prefix	 prefix;
};

/* A destination of a test: an alias, one port. */
struct test_dst {
	struct alias	 alias;
	uint16_t	 port;
	struct slice	 text;
};

struct test {
	struct pos	 pos;
	uint8_t		 proto;
	struct slice	 src_text;
	struct alias	 src;
	bool		 src_bad;	/* src_text is no alias */
	struct test_dst	*accept, *deny;
	size_t		 naccept, ndeny;
};

struct ssh_test {
	struct pos	 pos;
	struct slice	 src_text;
	struct alias	 src;
	bool		 src_bad;
	struct aliases	 dst;
	struct strs	 accept, deny, check;
};

struct policy {
	bool		 has_acls, has_grants;	/* even empty */
	bool		 random_port;	/* randomizeClientPort */
	struct named	*group;
	size_t		 ngroups;
	struct host	*host;
	size_t		 nhosts;
	struct named	*owner;		/* tagOwners */
	size_t		 nowners;
	struct acl	*acl;
	size_t		 nacls;
	struct grant	*grant;
	size_t		 ngrants;
	struct ssh	*ssh;
	size_t		 nsshs;
	struct node_attr *attr;
	size_t		 nattrs;
	struct approver	*approver;
	size_t		 napprovers;
	struct test	*test;
	size_t		 ntests;
	struct ssh_test	*ssh_test;
	size_t		 nssh_tests;
};

/* What a user is to a policy. */
struct pol_user {
	uint64_t	 id;
	struct slice	 name;		/* login name */
	struct slice	 email, provider_id;	/* may be empty; OIDC subject */
	uint8_t		 role;		/* enum user_role */
};

struct tailnet_info {
	const struct pol_user *user;
	size_t		 nusers;
	const struct slice *domain;	/* the tailnet's own */
	size_t		 ndomains;
	bool		 stored;	/* text of old: who is gone is nobody */
};

/* The one message of a refused policy, and where. */
struct pol_error {
	struct buf	*text;		/* the service's own words */
	struct buf	*detail;	/* further findings, a line each */
	struct pos	 pos;
};


/*
 * Reads and checks a policy.  NULL and the error filled if it is refused: with
 * the first fault in the order of policy.md 16, worded as in 17.1, its line
 * and column.  Empty text is a policy without members.
 */
struct policy *policy_read(struct arena *, struct slice text,
    const struct tailnet_info *, struct pol_error *);

#endif
