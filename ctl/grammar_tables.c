#include "ctl/grammar_int.h"

/* A command line may end here. */
static const struct token t_done[] = {
	{ .kind = T_DONE },
	{ .kind = T_END },
};

static const struct token t_rest[] = {
	{ .kind = T_REST, .word = "[COMMAND]" },
	{ .kind = T_END },
};

/* users */

static const struct option o_user_add[] = {
	{ .name = "display", .letter = 'd', .arg = ARG_DISPLAY,
	    .value = "TEXT", .help = "name for people" },
	{ .name = NULL },
};
static const struct token t_user_add[] = {
	{ .kind = T_ARG, .word = "NAME", .arg = ARG_NAME, .next = t_done },
	{ .kind = T_END },
};
static const struct token t_user_delete[] = {
	{ .kind = T_ARG, .word = "USER", .arg = ARG_USER, .next = t_done },
	{ .kind = T_END },
};
static const struct token t_user_rename[] = {
	{ .kind = T_ARG, .word = "USER", .arg = ARG_USER, .next = t_user_add },
	{ .kind = T_END },
};
static const struct token t_user_role_name[] = {
	{ .kind = T_ARG, .word = "owner|admin|member", .arg = ARG_ROLE,
	    .next = t_done },
	{ .kind = T_END },
};
static const struct token t_user_role[] = {
	{ .kind = T_ARG, .word = "USER", .arg = ARG_USER,
	    .next = t_user_role_name },
	{ .kind = T_END },
};
static const struct token t_users[] = {
	{ .kind = T_WORD, .word = "add", .act = A_USER_ADD,
	    .next = t_user_add, .opts = o_user_add, .help = "make a user" },
	{ .kind = T_WORD, .word = "list", .act = A_USER_LIST, .next = t_done,
	    .help = "show all users" },
	{ .kind = T_WORD, .word = "rename", .act = A_USER_RENAME,
	    .next = t_user_rename, .help = "give a user another name" },
	{ .kind = T_WORD, .word = "delete", .act = A_USER_DELETE,
	    .next = t_user_delete,
	    .help = "delete a user without nodes, and its keys" },
	{ .kind = T_WORD, .word = "role", .act = A_USER_ROLE,
	    .next = t_user_role,
	    .help = "what the user is; there is one owner" },
	{ .kind = T_END },
};

/* keys */

static const struct option o_key_create[] = {
	{ .name = "user", .letter = 'u', .arg = ARG_USER, .value = "USER",
	    .help = "owner of the nodes that register with it" },
	{ .name = "reusable", .flag = F_REUSABLE,
	    .help = "for any number of nodes, not for one" },
	{ .name = "ephemeral", .flag = F_EPHEMERAL,
	    .help = "its nodes are deleted when they go offline" },
	{ .name = "expires", .letter = 'e', .arg = ARG_EXPIRES,
	    .value = "DURATION", .help = "30m, 24h, 7d or never; 1h if not "
	    "given" },
	{ .name = "tags", .letter = 't', .arg = ARG_TAGS, .value = "TAG,...",
	    .help = "its nodes are owned by these tags" },
	{ .name = NULL },
};
static const struct token t_key_one[] = {
	{ .kind = T_ARG, .word = "KEY", .arg = ARG_KEY, .next = t_done },
	{ .kind = T_END },
};
static const struct token t_keys[] = {
	{ .kind = T_WORD, .word = "create", .act = A_KEY_CREATE,
	    .next = t_done, .opts = o_key_create,
	    .help = "make a pre-auth key and print it" },
	{ .kind = T_WORD, .word = "list", .act = A_KEY_LIST, .next = t_done,
	    .help = "show all pre-auth keys, not their secrets" },
	{ .kind = T_WORD, .word = "expire", .act = A_KEY_EXPIRE,
	    .next = t_key_one, .help = "no node registers with it any more" },
	{ .kind = T_WORD, .word = "delete", .act = A_KEY_DELETE,
	    .next = t_key_one, .help = "expire it and forget it" },
	{ .kind = T_END },
};

/* nodes */

static const struct token t_node_one[] = {
	{ .kind = T_ARG, .word = "NODE", .arg = ARG_NODE, .next = t_done },
	{ .kind = T_END },
};
static const struct token t_node_rename[] = {
	{ .kind = T_ARG, .word = "NODE", .arg = ARG_NODE,
	    .next = t_user_add },
	{ .kind = T_END },
};
static const struct token t_node_tags[] = {
	{ .kind = T_ARG, .word = "TAG,...", .arg = ARG_TAGS, .next = t_done },
	{ .kind = T_END },
};
static const struct token t_node_tag[] = {
	{ .kind = T_ARG, .word = "NODE", .arg = ARG_NODE,
	    .next = t_node_tags },
	{ .kind = T_END },
};
static const struct token t_node_move[] = {
	{ .kind = T_ARG, .word = "NODE", .arg = ARG_NODE,
	    .next = t_user_delete },
	{ .kind = T_END },
};
static const struct token t_node_when[] = {
	{ .kind = T_ARG, .word = "[WHEN]", .arg = ARG_WHEN, .next = t_done },
	{ .kind = T_DONE },
	{ .kind = T_END },
};
static const struct token t_node_expire[] = {
	{ .kind = T_ARG, .word = "NODE", .arg = ARG_NODE,
	    .next = t_node_when },
	{ .kind = T_END },
};
static const struct token t_nodes[] = {
	{ .kind = T_WORD, .word = "list", .act = A_NODE_LIST, .next = t_done,
	    .help = "show all nodes" },
	{ .kind = T_WORD, .word = "show", .act = A_NODE_SHOW,
	    .next = t_node_one, .help = "show all of one node" },
	{ .kind = T_WORD, .word = "rename", .act = A_NODE_RENAME,
	    .next = t_node_rename, .help = "give it another DNS name" },
	{ .kind = T_WORD, .word = "tag", .act = A_NODE_TAG,
	    .next = t_node_tag, .help = "these tags own it from now on" },
	{ .kind = T_WORD, .word = "move", .act = A_NODE_MOVE,
	    .next = t_node_move, .help = "a user owns it from now on" },
	{ .kind = T_WORD, .word = "expire", .act = A_NODE_EXPIRE,
	    .next = t_node_expire,
	    .help = "when its key expires: 24h, never; or now" },
	{ .kind = T_WORD, .word = "logout", .act = A_NODE_LOGOUT,
	    .next = t_node_one, .help = "it must log in again" },
	{ .kind = T_WORD, .word = "delete", .act = A_NODE_DELETE,
	    .next = t_node_one, .help = "forget it" },
	{ .kind = T_END },
};

/* routes */

static const struct token t_route_node[] = {
	{ .kind = T_ARG, .word = "[NODE]", .arg = ARG_NODE, .next = t_done },
	{ .kind = T_DONE },
	{ .kind = T_END },
};
static const struct token t_route_prefixes[] = {
	{ .kind = T_MORE, .word = "PREFIX..." },
	{ .kind = T_END },
};
static const struct token t_route_change[] = {
	{ .kind = T_ARG, .word = "NODE", .arg = ARG_NODE,
	    .next = t_route_prefixes },
	{ .kind = T_END },
};
static const struct token t_routes[] = {
	{ .kind = T_WORD, .word = "list", .act = A_ROUTE_LIST,
	    .next = t_route_node,
	    .help = "show routes, who carries them, and what waits" },
	{ .kind = T_WORD, .word = "approve", .act = A_ROUTE_APPROVE,
	    .next = t_route_change,
	    .help = "let it carry routes that it advertises" },
	{ .kind = T_WORD, .word = "unapprove", .act = A_ROUTE_UNAPPROVE,
	    .next = t_route_change, .help = "take that back" },
	{ .kind = T_END },
};

/* policy */

static const struct option o_policy_reason[] = {
	{ .name = "reason", .letter = 'r', .arg = ARG_REASON,
	    .value = "TEXT", .help = "why, for the history" },
	{ .name = NULL },
};
static const struct option o_policy_diff[] = {
	{ .name = "lines", .letter = 'n', .arg = ARG_LINES, .value = "N",
	    .help = "at most so many; 1000 if not given" },
	{ .name = NULL },
};
static const struct token t_policy_file[] = {
	{ .kind = T_ARG, .word = "FILE", .arg = ARG_FILE, .next = t_done },
	{ .kind = T_END },
};
static const struct token t_policy_get[] = {
	{ .kind = T_ARG, .word = "[VERSION]", .arg = ARG_VERSION,
	    .next = t_done },
	{ .kind = T_DONE },
	{ .kind = T_END },
};
static const struct token t_policy_version[] = {
	{ .kind = T_ARG, .word = "VERSION", .arg = ARG_VERSION,
	    .next = t_done },
	{ .kind = T_END },
};
static const struct token t_policy_dst[] = {
	{ .kind = T_ARG, .word = "DST[:PORT]", .arg = ARG_DST,
	    .next = t_done },
	{ .kind = T_END },
};
static const struct token t_policy_src[] = {
	{ .kind = T_ARG, .word = "SRC", .arg = ARG_SRC,
	    .next = t_policy_dst },
	{ .kind = T_END },
};
static const struct token t_policy[] = {
	{ .kind = T_WORD, .word = "set", .act = A_POLICY_SET,
	    .next = t_policy_file, .opts = o_policy_reason,
	    .help = "put a policy in force (-: standard input)" },
	{ .kind = T_WORD, .word = "get", .act = A_POLICY_GET,
	    .next = t_policy_get,
	    .help = "print the newest policy, or another version" },
	{ .kind = T_WORD, .word = "check", .act = A_POLICY_CHECK,
	    .next = t_policy_file,
	    .help = "say whether it could be set" },
	{ .kind = T_WORD, .word = "test", .act = A_POLICY_TEST,
	    .next = t_policy_file, .help = "run its tests only" },
	{ .kind = T_WORD, .word = "diff", .act = A_POLICY_DIFF,
	    .next = t_policy_file, .opts = o_policy_diff,
	    .help = "show which access it would add and remove" },
	{ .kind = T_WORD, .word = "why", .act = A_POLICY_WHY,
	    .next = t_policy_src,
	    .help = "show the rules that let SRC reach DST" },
	{ .kind = T_WORD, .word = "history", .act = A_POLICY_HISTORY,
	    .next = t_done, .help = "show all versions" },
	{ .kind = T_WORD, .word = "rollback", .act = A_POLICY_ROLLBACK,
	    .next = t_policy_version, .opts = o_policy_reason,
	    .help = "make an old version the newest one" },
	{ .kind = T_END },
};

/* relays and certificates */

static const struct token t_derp[] = {
	{ .kind = T_WORD, .word = "list", .act = A_DERP_LIST, .next = t_done,
	    .help = "show relays, and how they answer" },
	{ .kind = T_END },
};
static const struct option o_cert_renew[] = {
	{ .name = "revoke", .flag = F_REVOKE,
	    .help = "revoke the one in use first" },
	{ .name = NULL },
};
static const struct token t_cert[] = {
	{ .kind = T_WORD, .word = "list", .act = A_CERT_LIST, .next = t_done,
	    .help = "show the certificate that is had by ACME" },
	{ .kind = T_WORD, .word = "renew", .act = A_CERT_RENEW,
	    .next = t_done, .opts = o_cert_renew,
	    .help = "ask for a new one now" },
	{ .kind = T_END },
};

/* the server */

static const struct option o_exposure[] = {
	{ .name = "slot", .arg = ARG_SLOT, .value = "N",
	    .help = "only this worker" },
	{ .name = "generation", .arg = ARG_GENERATION, .value = "G",
	    .help = "only this start of it; needs --slot" },
	{ .name = "revoke", .flag = F_REVOKE,
	    .help = "expire the node keys that it held" },
	{ .name = NULL },
};
static const struct token t_worker[] = {
	{ .kind = T_WORD, .word = "exposure", .act = A_EXPOSURE,
	    .next = t_done, .opts = o_exposure,
	    .help = "show which nodes' streams a worker has held" },
	{ .kind = T_END },
};
static const struct token t_log[] = {
	{ .kind = T_WORD, .word = "verbose", .act = A_LOG_VERBOSE,
	    .next = t_done, .help = "log debug lines too" },
	{ .kind = T_WORD, .word = "brief", .act = A_LOG_BRIEF,
	    .next = t_done, .help = "no debug lines any more" },
	{ .kind = T_END },
};

static const struct option o_status[] = {
	{ .name = "verbose", .letter = 'v', .flag = F_VERBOSE,
	    .help = "and what each process has counted" },
	{ .name = NULL },
};
static const struct token t_main[] = {
	{ .kind = T_WORD, .word = "users", .next = t_users },
	{ .kind = T_WORD, .word = "keys", .next = t_keys },
	{ .kind = T_WORD, .word = "nodes", .next = t_nodes },
	{ .kind = T_WORD, .word = "routes", .next = t_routes },
	{ .kind = T_WORD, .word = "policy", .next = t_policy },
	{ .kind = T_WORD, .word = "derp", .next = t_derp },
	{ .kind = T_WORD, .word = "cert", .next = t_cert },
	{ .kind = T_WORD, .word = "status", .act = A_STATUS, .next = t_done,
	    .opts = o_status, .help = "show processes, streams and counts" },
	{ .kind = T_WORD, .word = "metrics", .act = A_METRICS,
	    .next = t_done, .help = "print all numbers for Prometheus" },
	{ .kind = T_WORD, .word = "worker", .next = t_worker },
	{ .kind = T_WORD, .word = "reload", .act = A_RELOAD, .next = t_done,
	    .help = "read the configuration again" },
	{ .kind = T_WORD, .word = "log", .next = t_log },
	{ .kind = T_WORD, .word = "version", .act = A_VERSION,
	    .next = t_done, .help = "show the version of this program" },
	{ .kind = T_WORD, .word = "help", .act = A_HELP, .next = t_rest,
	    .help = "show how commands are written" },
	{ .kind = T_WORD, .word = "complete", .act = A_COMPLETE,
	    .next = t_rest, .hidden = true },
	{ .kind = T_END },
};

static const struct option o_global[] = {
	{ .name = "socket", .letter = 's', .arg = ARG_SOCKET,
	    .value = "PATH", .help = "the control socket" },
	{ .name = "json", .letter = 'j', .flag = F_JSON,
	    .help = "print JSON" },
	{ .name = "yes", .letter = 'y', .flag = F_YES,
	    .help = "do not ask before something is destroyed" },
	{ .name = "help", .letter = 'h', .flag = F_HELP,
	    .help = "show how the command is written" },
	{ .name = NULL },
};

const struct token *
grammar_main(void)
{
	return t_main;
}

const struct option *
grammar_global(void)
{
	return o_global;
}
