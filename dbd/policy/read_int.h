/* The front end of policyc, shared by its files: text to checked policy. */

#ifndef DBD_POLICY_READ_INT_H
#define DBD_POLICY_READ_INT_H

#include "dbd/policy/arena.h"
#include "dbd/policy/hujson.h"
#include "dbd/policy/lex.h"
#include "dbd/policy/who.h"

/* Names in order, each with the number of what it names. */
struct names {
	struct name	{ struct slice name; size_t at; } *v;
	size_t		 n;
};

/* Of struct ssh: what is judged only after the text was read. */
struct ssh_raw {
	struct slice	 action;
	struct slice	 period;
	bool		 has_period;
};

struct reading {
	struct arena	*a;
	const struct tailnet_info *info;
	struct policy	*p;
	struct who	*who;
	struct names	 groups, hosts, owners;
	struct ssh_raw	*ssh;
	struct slice	*test_proto;
	const struct hj	**pool;		/* nodeAttrs: ipPool or NULL */
	/* What was found. */
	struct pol_error *err;
	size_t		 nfaults;
	size_t		 ndetails;
};

/*
 * Notes a fault: the first is the policy's error, later ones are detail, up
 * to a bound.  Always false.
 */
bool	 fault(struct reading *, struct pos, const char *, ...)
	    __attribute__((__format__(printf, 3, 4)));
/* A test that makes no sense: "test(s) failed", and the line as detail. */
bool	 fault_test(struct reading *, struct pos, const char *, ...)
	    __attribute__((__format__(printf, 3, 4)));
/* A text as Go's %q writes it, bounded; lives in the arena. */
const char *quote(struct reading *, struct slice);

/* What a member of an object may be. */
struct field {
	const char	*name;
	enum hj_kind	 kind;
};

/*
 * Takes an object apart: out[i] is the member of field[i], NULL if it is
 * absent or null.  Names match as policy.md 1 says.  Unknown members, those
 * that stand twice and wrong types are faults, then the result is false.
 * comments: members that begin with "#" do not count.
 */
bool	 fields_read(struct reading *, const struct hj *,
	    const struct field *field, size_t nfields, const struct hj **out,
	    bool comments);
/* The value is of the kind, else a fault that names place and path. */
bool	 want_kind(struct reading *, const struct hj *, enum hj_kind);
/* A list of strings (NULL: an empty one). */
bool	 strs_read(struct reading *, const struct hj *, struct strs *,
	    bool trim);
/* A list of aliases (NULL: an empty one). */
bool	 aliases_read(struct reading *, const struct hj *, struct aliases *,
	    bool trim);

/* Sections, text to struct policy; NULL: absent.  Faults are noted. */
void	 read_groups(struct reading *, const struct hj *);
void	 read_hosts(struct reading *, const struct hj *);
void	 read_owners(struct reading *, const struct hj *);
void	 read_approvers(struct reading *, const struct hj *);
void	 read_acls(struct reading *, const struct hj *);
void	 read_grants(struct reading *, const struct hj *);
void	 read_ssh(struct reading *, const struct hj *);
void	 read_attrs(struct reading *, const struct hj *);
void	 read_tests(struct reading *, const struct hj *);
void	 read_ssh_tests(struct reading *, const struct hj *);
void	 read_postures(struct reading *, const struct hj *);
void	 read_default_posture(struct reading *, const struct hj *);
void	 read_ipsets(struct reading *, const struct hj *);
void	 read_one_cgnat(struct reading *, const struct hj *);
/* disableIPv4 gives each node the attribute of that name. */
void	 read_disable_ipv4(struct reading *, const struct hj *);
/*
 * What would narrow a rule and is not supported must not be passed over: a
 * fault if v is more than null, false or empty.
 */
bool	 refuse(struct reading *, const struct hj *v, const char *name);
/* The fault of a protocol's name; before goes in front. */
bool	 fault_proto(struct reading *, struct pos, struct slice,
	    enum lex_proto);

/* Names in order; duplicates are the caller's matter. */
void	 names_sort(struct names *);
/* Where the name's thing stands, or SIZE_MAX. */
size_t	 names_find(const struct names *, struct slice);

/* Where an alias stands. */
enum place {
	AT_ACL_SRC, AT_ACL_DST, AT_GRANT_SRC, AT_GRANT_DST, AT_SSH_SRC,
	AT_TARGET, AT_OWNER, AT_APPROVER
};

/* An autogroup of users: autogroup:member, or one of a role. */
bool	 alias_people(const struct alias *);
/* Finds what AL_HOST names; family 0 if nothing. */
void	 alias_resolve(const struct reading *, struct alias *);
/* A group, tag, host or domain that an alias names exists, else a fault. */
bool	 alias_defined(struct reading *, const struct alias *, enum place);
/* The alias may stand there, and what it names exists, else a fault. */
bool	 alias_check(struct reading *, struct alias *, enum place);

/* All of policy.md 16, in its order.  Faults are noted. */
void	 check_policy(struct reading *);
void	 check_acls(struct reading *);
void	 check_grants(struct reading *);
void	 check_sshs(struct reading *);
void	 check_tests(struct reading *);
void	 check_ssh_tests(struct reading *);
void	 check_users(struct reading *);		/* ambiguous ones */

#endif
