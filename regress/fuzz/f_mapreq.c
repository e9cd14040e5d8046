/*
 * A body of /machine/map: refused with a text, or messages for dbd that are
 * within the table's bounds.
 */

#include <stdlib.h>
#include <string.h>

#include "common/enc.h"
#include "worker/control/parse.h"

#define ENDPOINTS_MAX	32

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
must(bool ok)
{
	if (!ok)
		abort();
}

/* What is encoded decodes, to the same. */
static void
sendable(const struct msg *m)
{
	struct buf b = { 0 }, again = { 0 };
	struct msg back;

	msg_encode(&b, m);
	must(msg_decode(&back, m->type, b.p, b.n) == 0);
	msg_encode(&again, &back);
	must(b.n == again.n && memcmp(b.p, again.p, b.n) == 0);
	buf_free(&b);
	buf_free(&again);
}

static void
endpoints_ok(const struct msg_list *list)
{
	struct msg_list it = *list;
	struct r_addr a;

	must(list->count <= ENDPOINTS_MAX);
	while (msg_list_next(&it, MR_ADDR, &a))
		must(a.v.addr.family == 4 || (a.v.addr.family == 6 &&
		    !ip_is_linklocal(&a.v.addr)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct m_db_map_open *o;
	struct m_db_map_lite *l;
	struct mapreq q;
	const char *why = NULL;
	struct msg m;

	if (mapreq_parse(&q, slice_mem(p, n), &why) == -1) {
		must(why != NULL && why[0] != '\0');
		mapreq_free(&q);
		return 0;
	}
	must(!key_is_zero(q.node_key));
	endpoints_ok(&q.endpoints);
	msg_init(&m, M_DB_MAP_OPEN);
	o = &m.u.db_map_open;
	memcpy(o->node_key, q.node_key, KEY_LEN);
	memcpy(o->disco_key, q.disco_key, KEY_LEN);
	o->capver = q.version;
	o->endpoints = q.endpoints;
	o->hostinfo = q.hostinfo;
	o->has_hostinfo = q.has_hostinfo;
	o->home_derp = q.home_derp;
	sendable(&m);
	msg_init(&m, M_DB_MAP_LITE);
	l = &m.u.db_map_lite;
	memcpy(l->node_key, q.node_key, KEY_LEN);
	memcpy(l->disco_key, q.disco_key, KEY_LEN);
	l->capver = q.version;
	l->endpoints = q.endpoints;
	l->hostinfo = q.hostinfo;
	l->has_hostinfo = q.has_hostinfo;
	l->home_derp = q.home_derp;
	sendable(&m);
	mapreq_free(&q);
	return 0;
}
