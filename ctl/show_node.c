#include <string.h>

#include "common/enc.h"
#include "ctl/show_int.h"

static const struct column columns[NODE_COLUMNS] = {
	{ "ID", 0, true },
	{ "NAME", 0, false },
	{ "OWNER", 3, false },
	{ "ADDRESS", 0, false },
	{ "STATE", 0, false },
	{ "EXPIRES", 4, false },
	{ "TAGS", 5, false },
	{ "VERSION", 6, false },
	{ "WORKER", 7, true },
};

const struct column *
node_columns(void)
{
	return columns;
}

void
texts_plain(struct buf *b, const struct msg_list *list)
{
	struct msg_list it = *list;
	struct r_text t;
	bool first = true;

	while (msg_list_next(&it, MR_TEXT, &t)) {
		if (!first)
			buf_u8(b, ',');
		out_vis(b, t.v);
		first = false;
	}
	if (first)
		buf_u8(b, '-');
}

void
texts_json(struct json *j, const char *key, const struct msg_list *list)
{
	struct msg_list it = *list;
	struct r_text t;

	json_key(j, key);
	json_arr(j);
	while (msg_list_next(&it, MR_TEXT, &t))
		json_str(j, t.v);
	json_end(j);
}

void
text_cell(struct table *t, struct slice s)
{
	struct buf *b = table_cell(t, COLOUR_NONE);

	if (s.n == 0)
		buf_u8(b, '-');
	out_vis(b, s);
}

void
number_cell(struct table *t, uint64_t n)
{
	buf_printf(table_cell(t, COLOUR_NONE), "%llu", (unsigned long long)n);
}

static bool
expired(const struct r_node *n, int64_t now)
{
	return n->expiry != 0 && n->expiry <= now;
}

static void
put_state(struct buf *b, const struct r_node *n, int64_t now)
{
	if (n->online)
		buf_str(b, "online");
	else if (n->last_seen == 0)
		buf_str(b, "never seen");
	else
		out_when(b, n->last_seen, now);
}

static void
put_expiry(struct buf *b, const struct r_node *n, int64_t now)
{
	if (expired(n, now))
		buf_str(b, "expired ");
	out_when(b, n->expiry, now);
}

/* The first of its addresses. */
static void
put_address(struct buf *b, const struct r_node *n)
{
	char text[IP_TEXT];

	if (ip_print(text, n->ip4.family != 0 ? &n->ip4 : &n->ip6) == 0)
		(void)strlcpy(text, "-", sizeof(text));
	buf_str(b, text);
}

void
node_cells(struct table *t, const struct m_ctl_node *row, int64_t now)
{
	const struct r_node *n = &row->node;
	bool late = expired(n, now);

	number_cell(t, n->id);
	text_cell(t, n->name);
	text_cell(t, row->user_name);
	put_address(table_cell(t, COLOUR_NONE), n);
	put_state(table_cell(t, n->online ? COLOUR_GOOD : COLOUR_NONE), n,
	    now);
	put_expiry(table_cell(t, late ? COLOUR_BAD : COLOUR_NONE), n, now);
	texts_plain(table_cell(t, COLOUR_NONE), &n->tags);
	text_cell(t, n->hostinfo.ipn_version);
	if (row->slot == 0)
		text_cell(t, slice_str(NULL));
	else
		number_cell(t, row->slot);
}

/* JSON. */

static void
json_ip(struct json *j, const struct ip *ip)
{
	char text[IP_TEXT];

	if (ip->family == 0)
		return;
	(void)ip_print(text, ip);
	json_cstr(j, text);
}

static void
json_named_key(struct json *j, const char *name, enum key_kind kind,
    const uint8_t key[KEY_LEN])
{
	char text[KEY_TEXT];

	(void)key_print(text, kind, key);
	json_key(j, name);
	if (key_is_zero(key))
		json_null(j);
	else
		json_cstr(j, text);
}

static void
json_endpoints(struct json *j, const struct msg_list *list)
{
	struct msg_list it = *list;
	char text[IPPORT_TEXT];
	struct r_addr a;

	json_key(j, "endpoints");
	json_arr(j);
	while (msg_list_next(&it, MR_ADDR, &a)) {
		(void)ipport_print(text, &a.v);
		json_cstr(j, text);
	}
	json_end(j);
}

static void
json_routes(struct json *j, const char *key, const struct msg_list *list)
{
	struct msg_list it = *list;
	char text[PREFIX_TEXT];
	struct r_route r;

	json_key(j, key);
	json_arr(j);
	while (msg_list_next(&it, MR_ROUTE, &r)) {
		(void)prefix_print(text, &r.v);
		json_cstr(j, text);
	}
	json_end(j);
}

static void
json_id(struct json *j, const char *key, uint64_t id)
{
	json_key(j, key);
	if (id == 0)
		json_null(j);
	else
		json_u64(j, id);
}

static void
json_host(struct json *j, const struct r_hostinfo *h)
{
	out_json_str(j, "hostname", h->hostname);
	out_json_str(j, "client_version", h->ipn_version);
	out_json_str(j, "os", h->os);
	out_json_str(j, "os_version", h->os_version);
	out_json_str(j, "distro", h->distro);
	out_json_str(j, "distro_version", h->distro_version);
	out_json_str(j, "device_model", h->device_model);
	out_json_str(j, "arch", h->go_arch);
}

void
node_json(struct json *j, const struct m_ctl_node *row)
{
	const struct r_node *n = &row->node;

	json_obj(j);
	json_id(j, "id", n->id);
	out_json_str(j, "stable_id", n->stable_id);
	out_json_str(j, "name", n->name);
	json_id(j, "user_id", n->user);
	out_json_str(j, "user", row->user_name);
	texts_json(j, "tags", &n->tags);
	json_key(j, "addresses");
	json_arr(j);
	json_ip(j, &n->ip4);
	json_ip(j, &n->ip6);
	json_end(j);
	json_key(j, "online");
	json_bool(j, n->online);
	out_json_time(j, "last_seen", n->last_seen);
	out_json_time(j, "created", n->created);
	out_json_time(j, "expires", n->expiry);
	json_key(j, "ephemeral");
	json_bool(j, n->ephemeral);
	json_id(j, "key_id", row->key_id);
	json_id(j, "worker", row->slot);
	json_named_key(j, "node_key", KEY_NODE, n->node_key);
	json_named_key(j, "machine_key", KEY_MACHINE, n->machine_key);
	json_named_key(j, "disco_key", KEY_DISCO, n->disco_key);
	json_key(j, "capability_version");
	json_u64(j, n->capver);
	json_id(j, "home_derp", n->home_derp);
	json_endpoints(j, &n->endpoints);
	json_routes(j, "advertised_routes", &n->hostinfo.routes);
	json_routes(j, "approved_routes", &n->approved);
	json_routes(j, "primary_routes", &n->primary);
	json_host(j, &n->hostinfo);
	json_end(j);
}

/* All of one, as lines. */

static struct buf *
line(struct out *o, const char *title)
{
	buf_printf(&o->text, "%-14s ", title);
	return &o->text;
}

static void
text_line(struct out *o, const char *title, struct slice s)
{
	if (s.n == 0)
		return;
	out_vis(line(o, title), s);
	buf_u8(&o->text, '\n');
}

static void
time_line(struct out *o, const char *title, int64_t at)
{
	char text[32];

	line(o, title);
	if (at == 0) {
		buf_str(&o->text, "never\n");
		return;
	}
	(void)time_rfc3339(text, at);
	buf_printf(&o->text, "%s (", text);
	out_when(&o->text, at, o->now);
	buf_str(&o->text, ")\n");
}

static void
key_line(struct out *o, const char *title, enum key_kind kind,
    const uint8_t key[KEY_LEN])
{
	char text[KEY_TEXT];

	if (key_is_zero(key))
		return;
	(void)key_print(text, kind, key);
	text_line(o, title, slice_str(text));
}

static void
ip_line(struct out *o, const struct ip *ip)
{
	char text[IP_TEXT];

	if (ip->family == 0)
		return;
	(void)ip_print(text, ip);
	text_line(o, "address", slice_str(text));
}

static void
host_lines(struct out *o, const struct r_hostinfo *h)
{
	text_line(o, "hostname", h->hostname);
	text_line(o, "client", h->ipn_version);
	text_line(o, "system", h->os);
	text_line(o, "", h->os_version);
	text_line(o, "distribution", h->distro);
	text_line(o, "", h->distro_version);
	text_line(o, "device", h->device_model);
}

static void
list_lines(struct out *o, const struct r_node *n)
{
	struct msg_list it = n->endpoints;
	char text[IPPORT_TEXT];
	struct r_route r;
	struct r_addr a;

	while (msg_list_next(&it, MR_ADDR, &a)) {
		(void)ipport_print(text, &a.v);
		text_line(o, "endpoint", slice_str(text));
	}
	it = n->hostinfo.routes;
	while (msg_list_next(&it, MR_ROUTE, &r)) {
		(void)prefix_print(text, &r.v);
		text_line(o, "advertises", slice_str(text));
	}
	it = n->approved;
	while (msg_list_next(&it, MR_ROUTE, &r)) {
		(void)prefix_print(text, &r.v);
		text_line(o, "approved", slice_str(text));
	}
	it = n->primary;
	while (msg_list_next(&it, MR_ROUTE, &r)) {
		(void)prefix_print(text, &r.v);
		text_line(o, "carries", slice_str(text));
	}
}

static void
show_lines(struct out *o, const struct m_ctl_node *row)
{
	const struct r_node *n = &row->node;

	text_line(o, "name", n->name);
	buf_printf(line(o, "id"), "%llu (%.*s)\n", (unsigned long long)n->id,
	    SLICE_FMT(n->stable_id));
	text_line(o, "owner", row->user_name);
	texts_plain(line(o, "tags"), &n->tags);
	buf_u8(&o->text, '\n');
	ip_line(o, &n->ip4);
	ip_line(o, &n->ip6);
	put_state(line(o, "state"), n, o->now);
	if (row->slot != 0)
		buf_printf(&o->text, ", on worker %u", row->slot);
	buf_u8(&o->text, '\n');
	time_line(o, "last seen", n->last_seen);
	time_line(o, "created", n->created);
	time_line(o, "key expires", n->expiry);
	buf_printf(line(o, "ephemeral"), "%s\n", n->ephemeral ? "yes" : "no");
	if (row->key_id != 0)
		buf_printf(line(o, "auth key"), "%llu\n",
		    (unsigned long long)row->key_id);
	host_lines(o, &n->hostinfo);
	buf_printf(line(o, "capability"), "%u\n", n->capver);
	if (n->home_derp != 0)
		buf_printf(line(o, "home relay"), "%u\n", n->home_derp);
	list_lines(o, n);
	key_line(o, "node key", KEY_NODE, n->node_key);
	key_line(o, "machine key", KEY_MACHINE, n->machine_key);
	key_line(o, "disco key", KEY_DISCO, n->disco_key);
}

void
show_node(struct out *o, const struct m_ctl_node *row)
{
	struct buf b = { NULL, 0, 0 };
	struct json j;

	if (!o->json) {
		show_lines(o, row);
		return;
	}
	json_init(&j, &b);
	node_json(&j, row);
	out_pretty(&o->text, buf_slice_of(&b));
	buf_free(&b);
}
