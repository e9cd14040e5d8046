#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/enc.h"
#include "common/ip.h"
#include "common/json_read.h"
#include "regress/lib/gojson.h"

#define TEXT_MAX	(64u << 20)
#define ID_MAX		(1ULL << 53)

/*
 * A type is a scalar's name, "[]" and a type, "{}" or "{int}" (keys) and a
 * type, or "@" and the name of a struct.  "[]+" takes no null elements.
 */
struct field {
	const char	*name;
	const char	*type;
};

static const struct field map_response[] = {
	{ "KeepAlive", "bool" }, { "Node", "@Node" },
	{ "DERPMap", "@DERPMap" }, { "Peers", "[]+@Node" },
	{ "PeersChanged", "[]+@Node" }, { "PeersRemoved", "[]+id" },
	{ "PeersChangedPatch", "[]+@PeerChange" },
	{ "PeerSeenChange", "{int}bool" }, { "OnlineChange", "{int}bool" },
	{ "DNSConfig", "@DNSConfig" }, { "Domain", "string" },
	{ "CollectServices", "bool" }, { "PacketFilter", "[]+@FilterRule" },
	{ "PacketFilters", "{}[]+@FilterRule" },
	{ "UserProfiles", "[]+@UserProfile" }, { "Health", "[]string" },
	{ "ControlTime", "time" }, { "Debug", "@Debug" },
	{ "SSHPolicy", "@SSHPolicy" }, { NULL, NULL }
};
static const struct field node[] = {
	{ "ID", "id" }, { "StableID", "string" }, { "Name", "string" },
	{ "User", "id" }, { "Sharer", "id" }, { "Key", "nodekey" },
	{ "KeyExpiry", "time" }, { "KeySignature", "b64" },
	{ "Machine", "mkey" }, { "DiscoKey", "discokey" },
	{ "Addresses", "[]+prefix" }, { "AllowedIPs", "[]+prefix" },
	{ "Endpoints", "[]+addrport" }, { "DERP", "string" },
	{ "HomeDERP", "int" }, { "Hostinfo", "@Hostinfo" },
	{ "Created", "time" }, { "Cap", "int" }, { "Tags", "[]string" },
	{ "PrimaryRoutes", "[]+prefix" }, { "LastSeen", "time" },
	{ "Online", "bool" }, { "MachineAuthorized", "bool" },
	{ "CapMap", "{}[]any" }, { "UnsignedPeerAPIOnly", "bool" },
	{ "Expired", "bool" }, { "IsWireGuardOnly", "bool" },
	{ "StableTailnetID", "string" }, { NULL, NULL }
};
static const struct field hostinfo[] = {
	{ "IPNVersion", "string" }, { "OS", "string" },
	{ "OSVersion", "string" }, { "Container", "bool" },
	{ "Distro", "string" }, { "DistroVersion", "string" },
	{ "DistroCodeName", "string" }, { "App", "string" },
	{ "Desktop", "bool" }, { "Package", "string" },
	{ "DeviceModel", "string" }, { "Hostname", "string" },
	{ "ShieldsUp", "bool" }, { "AllowsUpdate", "bool" },
	{ "WireIngress", "bool" }, { "IngressEnabled", "bool" },
	{ "Machine", "string" }, { "GoArch", "string" },
	{ "GoArchVar", "string" }, { "GoVersion", "string" },
	{ "Services", "[]+@Service" }, { "sshHostKeys", "[]string" },
	{ "RoutableIPs", "[]+prefix" }, { "RequestTags", "[]string" },
	{ "Cloud", "string" }, { "Userspace", "bool" },
	{ "UserspaceRouter", "bool" }, { "AppConnector", "bool" },
	{ "PeerRelay", "bool" }, { "StateEncrypted", "bool" },
	{ NULL, NULL }
};
static const struct field service[] = {
	{ "Proto", "string" }, { "Port", "port" },
	{ "Description", "string" }, { NULL, NULL }
};
static const struct field peer_change[] = {
	{ "NodeID", "id" }, { "DERPRegion", "int" }, { "Cap", "int" },
	{ "CapMap", "{}[]any" }, { "Endpoints", "[]+addrport" },
	{ "Key", "nodekey" }, { "KeySignature", "b64" },
	{ "DiscoKey", "discokey" }, { "Online", "bool" },
	{ "LastSeen", "time" }, { "KeyExpiry", "time" }, { NULL, NULL }
};
static const struct field derp_map[] = {
	{ "HomeParams", "@HomeParams" }, { "Regions", "{int}@DERPRegion" },
	{ "omitDefaultRegions", "bool" }, { NULL, NULL }
};
static const struct field home_params[] = {
	{ "RegionScore", "{int}float" }, { NULL, NULL }
};
static const struct field derp_region[] = {
	{ "RegionID", "int" }, { "RegionCode", "string" },
	{ "RegionName", "string" }, { "Latitude", "float" },
	{ "Longitude", "float" }, { "Avoid", "bool" },
	{ "NoMeasureNoHome", "bool" }, { "Nodes", "[]+@DERPNode" },
	{ NULL, NULL }
};
static const struct field derp_node[] = {
	{ "Name", "string" }, { "RegionID", "int" }, { "HostName", "string" },
	{ "CertName", "string" }, { "IPv4", "string" }, { "IPv6", "string" },
	{ "STUNPort", "int" }, { "STUNOnly", "bool" }, { "DERPPort", "int" },
	{ "InsecureForTests", "bool" }, { "STUNTestIP", "string" },
	{ "CanPort80", "bool" }, { NULL, NULL }
};
static const struct field dns_config[] = {
	{ "Resolvers", "[]+@Resolver" }, { "Routes", "{}[]+@Resolver" },
	{ "FallbackResolvers", "[]+@Resolver" }, { "Domains", "[]string" },
	{ "Proxied", "bool" }, { "CertDomains", "[]string" },
	{ "ExtraRecords", "[]+@DNSRecord" },
	{ "ExitNodeFilteredSet", "[]string" }, { NULL, NULL }
};
static const struct field resolver[] = {
	{ "Addr", "string" }, { "BootstrapResolution", "[]string" },
	{ "UseWithExitNode", "bool" }, { NULL, NULL }
};
static const struct field dns_record[] = {
	{ "Name", "string" }, { "Type", "string" }, { "Value", "string" },
	{ NULL, NULL }
};
static const struct field filter_rule[] = {
	{ "SrcIPs", "[]string" }, { "DstPorts", "[]+@NetPortRange" },
	{ "IPProto", "[]int" }, { "CapGrant", "[]+@CapGrant" },
	{ NULL, NULL }
};
static const struct field cap_grant[] = {
	{ "Dsts", "[]+prefix" }, { "CapMap", "{}[]any" }, { NULL, NULL }
};
static const struct field ssh_policy[] = {
	{ "rules", "[]+@SSHRule" }, { NULL, NULL }
};
static const struct field ssh_rule[] = {
	{ "ruleExpires", "time" }, { "principals", "[]+@SSHPrincipal" },
	{ "sshUsers", "{}string" }, { "action", "@SSHAction" },
	{ "acceptEnv", "[]string" }, { NULL, NULL }
};
static const struct field ssh_principal[] = {
	{ "node", "string" }, { "nodeIP", "string" },
	{ "userLogin", "string" }, { "any", "bool" }, { NULL, NULL }
};
static const struct field ssh_action[] = {
	{ "message", "string" }, { "reject", "bool" }, { "accept", "bool" },
	{ "sessionDuration", "int" }, { "allowAgentForwarding", "bool" },
	{ "holdAndDelegate", "string" },
	{ "allowLocalPortForwarding", "bool" },
	{ "allowRemotePortForwarding", "bool" }, { NULL, NULL }
};
static const struct field net_port_range[] = {
	{ "IP", "string" }, { "Ports", "@PortRange" }, { NULL, NULL }
};
static const struct field port_range[] = {
	{ "First", "port" }, { "Last", "port" }, { NULL, NULL }
};
static const struct field user_profile[] = {
	{ "ID", "id" }, { "LoginName", "string" },
	{ "DisplayName", "string" }, { "ProfilePicURL", "string" },
	{ NULL, NULL }
};
static const struct field debug[] = {
	{ "SleepSeconds", "float" }, { "DisableLogTail", "bool" },
	{ "Exit", "int" }, { NULL, NULL }
};
static const struct field register_response[] = {
	{ "User", "@User" }, { "Login", "@Login" },
	{ "NodeKeyExpired", "bool" }, { "MachineAuthorized", "bool" },
	{ "AuthURL", "string" }, { "NodeKeySignature", "b64" },
	{ "Error", "string" }, { NULL, NULL }
};
static const struct field user[] = {
	{ "ID", "int" }, { "DisplayName", "string" },
	{ "ProfilePicURL", "string" }, { "Created", "time" }, { NULL, NULL }
};
static const struct field login[] = {
	{ "ID", "int" }, { "Provider", "string" }, { "LoginName", "string" },
	{ "DisplayName", "string" }, { "ProfilePicURL", "string" },
	{ NULL, NULL }
};

static const struct gotype {
	const char		*name;
	const struct field	*fields;
} structs[] = {
	{ "MapResponse", map_response }, { "Node", node },
	{ "Hostinfo", hostinfo }, { "Service", service },
	{ "PeerChange", peer_change }, { "DERPMap", derp_map },
	{ "HomeParams", home_params }, { "DERPRegion", derp_region },
	{ "DERPNode", derp_node }, { "DNSConfig", dns_config },
	{ "Resolver", resolver }, { "DNSRecord", dns_record },
	{ "FilterRule", filter_rule }, { "NetPortRange", net_port_range },
	{ "CapGrant", cap_grant }, { "SSHPolicy", ssh_policy },
	{ "SSHRule", ssh_rule }, { "SSHPrincipal", ssh_principal },
	{ "SSHAction", ssh_action }, { "PortRange", port_range },
	{ "UserProfile", user_profile }, { "Debug", debug },
	{ "RegisterResponse", register_response }, { "User", user },
	{ "Login", login }
};

static char why[300];

static bool check(const char *type, const struct jval *, const char *path);

static bool
wrong(const char *path, const char *type)
{
	if (why[0] == '\0')
		snprintf(why, sizeof(why), "%s is no %s", path, type);
	return false;
}

/* RFC 3339 as Go has it: with T, and a zone. */
static bool
is_time(struct slice s)
{
	int64_t t;

	return s.n >= 20 && s.p[10] == 'T' && time_parse(&t, s);
}

static bool
is_key(struct slice s, const char *type)
{
	uint8_t key[KEY_LEN];
	size_t n = strlen(type);

	return slice_prefix(s, type) && s.n == n + 1 + 2 * KEY_LEN &&
	    s.p[n] == ':' &&
	    hex_dec(key, KEY_LEN, slice_mem(s.p + n + 1, 2 * KEY_LEN));
}

static bool
is_b64(struct slice s)
{
	uint8_t octets[4096];

	return b64_dec(octets, sizeof(octets), s) != -1;
}

static bool
is_scalar_text(const char *type, struct slice s)
{
	struct prefix p;
	struct ipport a;

	if (strcmp(type, "string") == 0)
		return utf8_ok(s.p, s.n);
	if (strcmp(type, "time") == 0)
		return is_time(s);
	if (strcmp(type, "b64") == 0)
		return is_b64(s);
	if (strcmp(type, "prefix") == 0)
		return prefix_parse(&p, s);
	if (strcmp(type, "addrport") == 0)
		return ipport_parse(&a, s);
	return is_key(s, type);
}

static bool
scalar(const char *type, const struct jval *v, const char *path)
{
	struct slice s;
	uint64_t u;
	int64_t i;
	double f;
	bool b, ok;

	if (strcmp(type, "any") == 0)
		ok = true;
	else if (strcmp(type, "id") == 0)
		ok = jval_u64(v, &u) && u >= 1 && u < ID_MAX;
	else if (strcmp(type, "port") == 0)
		ok = jval_u64(v, &u) && u <= 65535;
	else if (strcmp(type, "int") == 0)
		ok = jval_i64(v, &i);
	else if (strcmp(type, "float") == 0)
		ok = jval_double(v, &f);
	else if (strcmp(type, "bool") == 0)
		ok = jval_bool(v, &b);
	else
		ok = jval_str(v, &s) && is_scalar_text(type, s);
	return ok || wrong(path, type);
}

static bool
elements(const char *type, const struct jval *v, const char *path)
{
	bool no_null = type[0] == '+';
	const struct jval *e;
	char at[200];
	size_t i;

	if (!jval_is_arr(v))
		return wrong(path, "list");
	for (i = 0; i < jval_count(v); i++) {
		snprintf(at, sizeof(at), "%s[%zu]", path, i);
		e = jval_at(v, i);
		if (e == NULL && no_null)
			return wrong(at, "element (null)");
		if (!check(type + no_null, e, at))
			return false;
	}
	return true;
}

static bool
number_text(struct slice s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return s.n > 0 && s.n < 16 && (s.p[0] != '0' || s.n == 1);
}

static bool
members(const char *type, const struct jval *v, const char *path)
{
	bool ints = strncmp(type, "int}", 4) == 0;
	const struct jval *e;
	struct slice name;
	void *it = NULL;
	char at[200];

	type += ints ? 4 : 1;
	if (!jval_is_obj(v))
		return wrong(path, "object");
	while (jval_each(v, &it, &name, &e)) {
		snprintf(at, sizeof(at), "%s{%.*s}", path, SLICE_FMT(name));
		if (ints && (!number_text(name) || e == NULL))
			return wrong(at, "number as name");
		if (!check(type, e, at))
			return false;
	}
	return true;
}

static const struct field *
field_of(const struct field *f, struct slice name)
{
	for (; f->name != NULL; f++)
		if (slice_eqs(name, f->name))
			return f;
	return NULL;
}

static bool
structure(const char *type, const struct jval *v, const char *path)
{
	const struct field *f;
	const struct jval *e;
	struct slice name;
	void *it = NULL;
	char at[200];
	size_t i;

	for (i = 0; i < sizeof(structs) / sizeof(structs[0]) &&
	    strcmp(structs[i].name, type) != 0; i++)
		;
	if (i == sizeof(structs) / sizeof(structs[0]))
		abort();
	if (!jval_is_obj(v))
		return wrong(path, type);
	while (jval_each(v, &it, &name, &e)) {
		f = field_of(structs[i].fields, name);
		snprintf(at, sizeof(at), "%s.%.*s", path, SLICE_FMT(name));
		if (f == NULL)
			return wrong(at, "member");
		if (!check(f->type, e, at))
			return false;
	}
	return true;
}

/* null (and what is absent) fits everything but where it is said. */
static bool
check(const char *type, const struct jval *v, const char *path)
{
	if (v == NULL)
		return true;
	if (strncmp(type, "[]", 2) == 0)
		return elements(type + 2, v, path);
	if (type[0] == '{')
		return members(type + 1, v, path);
	if (type[0] == '@')
		return structure(type + 1, v, path);
	return scalar(type, v, path);
}

const char *
gojson_check(const char *type, struct slice text)
{
	struct jdoc *doc;
	const char *bad;
	size_t at;
	bool ok;

	why[0] = '\0';
	doc = json_read(text.p, text.n, TEXT_MAX, &bad, &at);
	if (doc == NULL) {
		snprintf(why, sizeof(why), "no JSON: %s at %zu", bad, at);
		return why;
	}
	ok = structure(type, jdoc_root(doc), type);
	jdoc_free(doc, false);
	return ok ? NULL : why;
}
