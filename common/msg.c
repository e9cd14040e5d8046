#include <stdlib.h>
#include <string.h>

#include "common/enc.h"
#include "common/log.h"
#include "common/msg.h"
#include "common/msg_int.h"

#define PRINT_ELEMENTS	4	/* of a list, in the debug log */
#define PRINT_OCTETS	4	/* of a fix */

const char *
role_name(unsigned int role)
{
	static const char *const name[] = { "none", "master", "keyd", "dbd",
	    "idp", "out", "worker", "api", "stun", "policyc", "ctl" };

	return role < ROLE_MAX ? name[role] : "?";
}

unsigned int
role_rank(enum role role)
{
	switch (role) {
	case ROLE_MASTER:
		return 0;
	case ROLE_KEYD:
	case ROLE_DBD:
		return 1;
	case ROLE_IDP:
		return 2;
	case ROLE_OUT:
		return 3;
	default:
		return 4;
	}
}

const char *
link_kind_name(unsigned int kind)
{
	static const char *const name[] = { "none", "CFG", "KEY", "SIG", "DB",
	    "ID", "OUT", "MESH", "CTL", "ACME", "POL" };

	return kind < LINK_MAX ? name[kind] : "?";
}

const char *
msg_name(unsigned int type)
{
	const struct msg_row *row;

	return (row = msg_row(type)) == NULL ? "?" : row->name;
}

bool
msg_permitted(unsigned int type, enum role from, enum role to,
    enum msg_link link, enum msg_state state)
{
	const struct msg_row *row;

	if ((row = msg_row(type)) == NULL || row->link != link)
		return false;
	return (row->from & MSG_ROLE(from)) != 0 &&
	    (row->to & MSG_ROLE(to)) != 0 &&
	    (row->state & (unsigned int)state) != 0;
}

/* The row of a type of ours: not having one is a bug. */
static const struct msg_row *
own_row(enum msg_type type)
{
	const struct msg_row *row;

	if ((row = msg_row(type)) == NULL)
		fatalx("no such message: %u", (unsigned int)type);
	return row;
}

enum msg_class
msg_class(enum msg_type type)
{
	return own_row(type)->class;
}

bool
msg_wants_fd(enum msg_type type)
{
	return own_row(type)->fd;
}

unsigned int
msg_credit(enum msg_type type)
{
	return own_row(type)->credit;
}

enum msg_principal
msg_principal(enum msg_type type)
{
	return own_row(type)->principal;
}

bool
msg_is_secret(enum msg_type type)
{
	return own_row(type)->secret;
}

void
msg_init(struct msg *m, enum msg_type type)
{
	memset(m, 0, sizeof(*m));
	m->type = type;
	m->fd = -1;
}

/*
 * What is wrong with a value: the name of the first field out of its bounds,
 * or NULL.  Elements of lists were checked when they were added.
 */

static bool
prefix_ok(const struct prefix *p)
{
	struct ip nth;
	unsigned int max;

	max = p->addr.family == 4 ? 32 : p->addr.family == 6 ? 128 : 0;
	if (p->bits > max)
		return false;
	return max == 0 || prefix_nth(p, 0, &nth);
}

static bool
family_ok(uint8_t family)
{
	return family == 0 || family == 4 || family == 6;
}

static bool
text_ok(const struct msg_field *f, const struct slice *s)
{
	if (s->n < f->min || s->n > f->max)
		return false;
	return f->kind == MF_BYTES || utf8_ok(s->p, s->n);
}

static const char *check_fields(const struct msg_field *, unsigned int,
    const char *);

static const char *
check_rec(enum msg_rec rec, const char *base)
{
	const struct msg_record *r = msg_record(rec);

	return check_fields(r->fields, r->nfields, base);
}

static const char *
check_field(const struct msg_field *f, const char *at)
{
	const struct msg_list *list;
	const struct prefix *p;
	bool ok = true;

	switch (f->kind) {
	case MF_BYTES:
	case MF_STR:
	case MF_SECSTR:
		ok = text_ok(f, (const void *)at);
		break;
	case MF_IP:
	case MF_IPPORT:		/* begins with its address */
		ok = family_ok(((const struct ip *)(const void *)at)->family);
		break;
	case MF_PREFIX:
		p = (const void *)at;
		ok = family_ok(p->addr.family) && prefix_ok(p);
		break;
	case MF_REC:
		return check_rec(f->rec, at);
	case MF_LIST:
		list = (const void *)at;
		ok = list->count >= f->min && list->count <= f->max &&
		    (list->count == 0) == (list->n == 0) &&
		    list->n <= MSG_MAX;
		break;
	default:
		break;
	}
	return ok ? NULL : f->name;
}

static const char *
check_fields(const struct msg_field *f, unsigned int n, const char *base)
{
	const char *bad;

	for (; n > 0; n--, f++)
		if ((bad = check_field(f, base + f->offset)) != NULL)
			return bad;
	return NULL;
}

bool
msg_ok(const struct msg *m)
{
	const struct msg_row *row;

	row = own_row(m->type);
	return check_fields(row->fields, row->nfields,
	    (const char *)&m->u) == NULL;
}

bool
msg_rec_ok(enum msg_rec rec, const void *p)
{
	return check_rec(rec, p) == NULL;
}

/* How long the encoding will be. */

static size_t
size_ip(const struct ip *ip)
{
	return 1U + (ip->family == 4 ? 4U : ip->family == 6 ? 16U : 0U);
}

static size_t
size_fields(const struct msg_field *f, unsigned int n, const char *base)
{
	const struct msg_record *r;
	const char *at;
	size_t sum = 0;

	for (; n > 0; n--, f++) {
		at = base + f->offset;
		switch (f->kind) {
		case MF_FIX:
		case MF_KEY:
			sum += f->max;
			break;
		case MF_BYTES:
		case MF_STR:
		case MF_SECSTR:
			sum += 4 + ((const struct slice *)(const void *)at)->n;
			break;
		case MF_IP:
		case MF_PREFIX:
		case MF_IPPORT:
			sum += 2 + size_ip((const void *)at);
			break;
		case MF_REC:
			r = msg_record(f->rec);
			sum += size_fields(r->fields, r->nfields, at);
			break;
		case MF_LIST:
			sum += 6 +
			    ((const struct msg_list *)(const void *)at)->n;
			break;
		default:
			sum += 8;
			break;
		}
	}
	return sum;
}

/* Encoding of what was found to be within its bounds. */

static void
put_text(struct buf *b, const struct msg_field *f, const struct slice *s)
{
	if (f->max > UINT16_MAX)
		buf_u32(b, (uint32_t)s->n);
	else
		buf_u16(b, (uint16_t)s->n);
	buf_slice(b, *s);
}

static void
put_ip(struct buf *b, const struct ip *ip)
{
	buf_u8(b, ip->family);
	buf_put(b, ip->b, size_ip(ip) - 1);
}

static void
put_list(struct buf *b, const struct msg_list *list)
{
	buf_u16(b, (uint16_t)list->count);
	buf_u32(b, (uint32_t)list->n);
	buf_put(b, list->p, list->n);
}

static void put_fields(struct buf *, const struct msg_field *, unsigned int,
    const char *);

static void
put_field(struct buf *b, const struct msg_field *f, const char *at)
{
	const struct msg_record *r;
	const void *v = at;

	switch (f->kind) {
	case MF_U8:
		buf_u8(b, *(const uint8_t *)v);
		break;
	case MF_U16:
		buf_u16(b, *(const uint16_t *)v);
		break;
	case MF_U32:
		buf_u32(b, *(const uint32_t *)v);
		break;
	case MF_U64:
	case MF_I64:
		buf_u64(b, *(const uint64_t *)v);
		break;
	case MF_BOOL:
		buf_u8(b, *(const bool *)v ? 1 : 0);
		break;
	case MF_FIX:
	case MF_KEY:
		buf_put(b, v, f->max);
		break;
	case MF_BYTES:
	case MF_STR:
	case MF_SECSTR:
		put_text(b, f, v);
		break;
	case MF_IP:
		put_ip(b, v);
		break;
	case MF_PREFIX:
		put_ip(b, &((const struct prefix *)v)->addr);
		buf_u8(b, ((const struct prefix *)v)->bits);
		break;
	case MF_IPPORT:
		put_ip(b, &((const struct ipport *)v)->addr);
		buf_u16(b, ((const struct ipport *)v)->port);
		break;
	case MF_REC:
		r = msg_record(f->rec);
		put_fields(b, r->fields, r->nfields, at);
		break;
	case MF_LIST:
		put_list(b, v);
		break;
	}
}

static void
put_fields(struct buf *b, const struct msg_field *f, unsigned int n,
    const char *base)
{
	for (; n > 0; n--, f++)
		put_field(b, f, base + f->offset);
}

void
msg_encode(struct buf *b, const struct msg *m)
{
	const struct msg_row *row;
	const char *base = (const char *)&m->u, *bad;
	size_t start = b->n;

	row = own_row(m->type);
	if ((bad = check_fields(row->fields, row->nfields, base)) != NULL)
		fatalx("%s: %s out of bounds", row->name, bad);
	/* So that no copy of a secret stays behind when the buffer moves. */
	if (row->secret)
		(void)buf_room(b, size_fields(row->fields, row->nfields,
		    base));
	put_fields(b, row->fields, row->nfields, base);
	if (b->n - start > MSG_MAX)
		fatalx("%s: longer than a message may be", row->name);
}

/*
 * Decoding.  With base NULL a value is checked and not stored: that is how
 * the elements of lists are looked at before anybody walks them.
 */

static void get_fields(struct rd *, const struct msg_field *, unsigned int,
    char *);

static void
get_bool(struct rd *r, void *v)
{
	uint8_t u;

	if ((u = rd_u8(r)) > 1)
		r->bad = true;
	else if (v != NULL)
		*(bool *)v = u == 1;
}

static void
get_fix(struct rd *r, const struct msg_field *f, void *v)
{
	const uint8_t *p;

	if ((p = rd_take(r, f->max)) != NULL && v != NULL)
		memcpy(v, p, f->max);
}

static void
get_text(struct rd *r, const struct msg_field *f, void *v)
{
	struct slice s;

	s.n = f->max > UINT16_MAX ? rd_u32(r) : rd_u16(r);
	s.p = (const char *)rd_take(r, s.n);
	if (s.p == NULL || !text_ok(f, &s))
		r->bad = true;
	else if (v != NULL)
		memcpy(v, &s, sizeof(s));
}

static void
get_ip(struct rd *r, struct ip *ip)
{
	const uint8_t *p;
	size_t n;

	memset(ip, 0, sizeof(*ip));
	ip->family = rd_u8(r);
	if (!family_ok(ip->family)) {
		r->bad = true;
		return;
	}
	n = size_ip(ip) - 1;
	if ((p = rd_take(r, n)) != NULL)
		memcpy(ip->b, p, n);
}

static void
get_prefix(struct rd *r, void *v)
{
	struct prefix p;

	get_ip(r, &p.addr);
	p.bits = rd_u8(r);
	if (r->bad || !prefix_ok(&p))
		r->bad = true;
	else if (v != NULL)
		memcpy(v, &p, sizeof(p));
}

static void
get_list(struct rd *r, const struct msg_field *f, void *v)
{
	const struct msg_record *rec = msg_record(f->rec);
	struct msg_list list;
	struct rd in;
	uint32_t i;

	list.count = rd_u16(r);
	list.n = rd_u32(r);
	list.p = rd_take(r, list.n);
	if (list.p == NULL || list.count < f->min || list.count > f->max) {
		r->bad = true;
		return;
	}
	rd_init(&in, list.p, list.n);
	for (i = 0; i < list.count && !in.bad; i++)
		get_fields(&in, rec->fields, rec->nfields, NULL);
	if (!rd_done(&in))
		r->bad = true;
	else if (v != NULL)
		memcpy(v, &list, sizeof(list));
}

static void
get_number(struct rd *r, enum msg_kind kind, void *v)
{
	uint64_t n;

	n = kind == MF_U8 ? rd_u8(r) : kind == MF_U16 ? rd_u16(r) :
	    kind == MF_U32 ? rd_u32(r) : rd_u64(r);
	if (v == NULL)
		return;
	if (kind == MF_U8)
		*(uint8_t *)v = (uint8_t)n;
	else if (kind == MF_U16)
		*(uint16_t *)v = (uint16_t)n;
	else if (kind == MF_U32)
		*(uint32_t *)v = (uint32_t)n;
	else
		*(uint64_t *)v = n;
}

static void
get_field(struct rd *r, const struct msg_field *f, char *at)
{
	const struct msg_record *rec;
	struct ipport ap;
	void *v = at;

	switch (f->kind) {
	case MF_U8:
	case MF_U16:
	case MF_U32:
	case MF_U64:
	case MF_I64:
		get_number(r, f->kind, v);
		break;
	case MF_BOOL:
		get_bool(r, v);
		break;
	case MF_FIX:
	case MF_KEY:
		get_fix(r, f, v);
		break;
	case MF_BYTES:
	case MF_STR:
	case MF_SECSTR:
		get_text(r, f, v);
		break;
	case MF_IP:
	case MF_IPPORT:
		memset(&ap, 0, sizeof(ap));
		get_ip(r, &ap.addr);
		ap.port = f->kind == MF_IPPORT ? rd_u16(r) : 0;
		if (v != NULL && f->kind == MF_IP)
			memcpy(v, &ap.addr, sizeof(ap.addr));
		else if (v != NULL)
			memcpy(v, &ap, sizeof(ap));
		break;
	case MF_PREFIX:
		get_prefix(r, v);
		break;
	case MF_REC:
		rec = msg_record(f->rec);
		get_fields(r, rec->fields, rec->nfields, at);
		break;
	case MF_LIST:
		get_list(r, f, v);
		break;
	}
}

static void
get_fields(struct rd *r, const struct msg_field *f, unsigned int n, char *base)
{
	for (; n > 0 && !r->bad; n--, f++)
		get_field(r, f, base == NULL ? NULL : base + f->offset);
}

int
msg_decode(struct msg *m, enum msg_type type, const void *p, size_t n)
{
	const struct msg_row *row;
	struct rd r;

	m->type = type;
	m->id = 0;
	m->fd = -1;
	if ((row = msg_row(type)) == NULL || n > MSG_MAX)
		return -1;
	rd_init(&r, p, n);
	get_fields(&r, row->fields, row->nfields, (char *)&m->u);
	return rd_done(&r) ? 0 : -1;
}

void
msg_rec_encode(struct buf *b, enum msg_rec rec, const void *p)
{
	const struct msg_record *r = msg_record(rec);
	const char *bad;

	if ((bad = check_rec(rec, p)) != NULL)
		fatalx("record %s: %s out of bounds", r->name, bad);
	put_fields(b, r->fields, r->nfields, p);
}

int
msg_rec_decode(void *out, enum msg_rec rec, const void *p, size_t n)
{
	const struct msg_record *r = msg_record(rec);
	struct rd rd;

	rd_init(&rd, p, n);
	get_fields(&rd, r->fields, r->nfields, out);
	return rd_done(&rd) ? 0 : -1;
}

bool
msg_list_next(struct msg_list *it, enum msg_rec rec, void *out)
{
	const struct msg_record *r = msg_record(rec);
	struct rd rd;

	if (it->count == 0)
		return false;
	rd_init(&rd, it->p, it->n);
	get_fields(&rd, r->fields, r->nfields, out);
	if (rd.bad)
		fatalx("list of %s: not what was checked", r->name);
	it->p = rd.p;
	it->n = rd_left(&rd);
	it->count--;
	return true;
}

void
msg_list_add(struct msg_list *list, struct buf *b, enum msg_rec rec,
    const void *p)
{
	msg_rec_encode(b, rec, p);
	list->count++;
}

void
msg_list_close(struct msg_list *list, const struct buf *b)
{
	list->p = b->p;
	list->n = b->n;
}

bool
msg_list_eq(const struct msg_list *a, const struct msg_list *b)
{
	return a->count == b->count && slice_eq(slice_mem(a->p, a->n),
	    slice_mem(b->p, b->n));
}

/* The debug log's view. */

static void print_fields(struct buf *, const struct msg_field *, unsigned int,
    const char *);

static void
print_fix(struct buf *b, const uint8_t *p, size_t n)
{
	char hex[2 * PRINT_OCTETS + 1];

	hex_enc(hex, p, n < PRINT_OCTETS ? n : PRINT_OCTETS);
	buf_printf(b, "%s%s", hex, n > PRINT_OCTETS ? ".." : "");
}

static void
print_list(struct buf *b, const struct msg_field *f, const struct msg_list *l)
{
	const struct msg_record *rec = msg_record(f->rec);
	struct msg_list it = *l;
	char *elem;
	int i;

	buf_printf(b, "[%u", l->count);
	elem = xmalloc(rec->size);
	for (i = 0; i < PRINT_ELEMENTS && msg_list_next(&it, f->rec, elem);
	    i++) {
		buf_str(b, " {");
		print_fields(b, rec->fields, rec->nfields, elem);
		buf_str(b, " }");
	}
	free(elem);
	buf_str(b, it.count > 0 ? " ..]" : "]");
}

static void
print_number(struct buf *b, enum msg_kind kind, const void *v)
{
	switch (kind) {
	case MF_U8:
		buf_printf(b, "%u", *(const uint8_t *)v);
		break;
	case MF_U16:
		buf_printf(b, "%u", *(const uint16_t *)v);
		break;
	case MF_U32:
		buf_printf(b, "%u", *(const uint32_t *)v);
		break;
	case MF_U64:
		buf_printf(b, "%llu",
		    (unsigned long long)*(const uint64_t *)v);
		break;
	case MF_I64:
		buf_printf(b, "%lld", (long long)*(const int64_t *)v);
		break;
	default:
		buf_str(b, *(const bool *)v ? "true" : "false");
		break;
	}
}

static void
print_field(struct buf *b, const struct msg_field *f, const char *at)
{
	const struct msg_record *rec;
	const void *v = at;
	char text[IPPORT_TEXT];

	switch (f->kind) {
	case MF_KEY:
	case MF_SECSTR:
		buf_str(b, "...");
		break;
	case MF_FIX:
		print_fix(b, v, f->max);
		break;
	case MF_BYTES:
		buf_printf(b, "<%zu>", ((const struct slice *)v)->n);
		break;
	case MF_STR:
		buf_printf(b, "\"%s\"", log_vis(*(const struct slice *)v));
		break;
	case MF_IP:
		(void)ip_print(text, v);
		buf_str(b, text);
		break;
	case MF_PREFIX:
		(void)prefix_print(text, v);
		buf_str(b, text);
		break;
	case MF_IPPORT:
		(void)ipport_print(text, v);
		buf_str(b, text);
		break;
	case MF_REC:
		rec = msg_record(f->rec);
		buf_str(b, "{");
		print_fields(b, rec->fields, rec->nfields, at);
		buf_str(b, " }");
		break;
	case MF_LIST:
		print_list(b, f, v);
		break;
	default:
		print_number(b, f->kind, v);
		break;
	}
}

static void
print_fields(struct buf *b, const struct msg_field *f, unsigned int n,
    const char *base)
{
	for (; n > 0; n--, f++) {
		buf_printf(b, " %s=", f->name);
		print_field(b, f, base + f->offset);
	}
}

void
msg_print(struct buf *b, const struct msg *m)
{
	const struct msg_row *row;

	row = own_row(m->type);
	buf_printf(b, "%s id=%u", row->name, m->id);
	if (m->fd != -1)
		buf_str(b, " fd");
	print_fields(b, row->fields, row->nfields, (const char *)&m->u);
}

bool
msg_routes_have(const struct msg_list *list, const struct prefix *p)
{
	struct msg_list it = *list;
	struct r_route r;

	while (msg_list_next(&it, MR_ROUTE, &r))
		if (prefix_eq(&r.v, p))
			return true;
	return false;
}
