#include <string.h>

#include "regress/lib/msg_make.h"

uint32_t
make_random(struct make *m)
{
	m->seed ^= m->seed << 13;
	m->seed ^= m->seed >> 17;
	m->seed ^= m->seed << 5;
	return m->seed;
}

static uint32_t
pick(struct make *m, uint32_t min, uint32_t max)
{
	uint32_t span;

	if (m->size == MAKE_MIN)
		return min;
	if (m->size == MAKE_MAX)
		return max;
	span = max - min < 40 ? max - min : 40;
	return min + make_random(m) % (span + 1);
}

/* True for the one field that is to be broken, if f can be in this way. */
static bool
fault(struct make *m, enum make_fault kind)
{
	if (m->fault != kind || m->at != m->n)
		return false;
	m->done = true;
	return true;
}

static void
make_octets(struct make *m, uint32_t n)
{
	while (n-- > 0)
		buf_u8(&m->b, (uint8_t)make_random(m));
}

static void
make_text(struct make *m, const struct msg_field *f)
{
	uint32_t i, n, said;
	size_t start;

	n = pick(m, f->min, f->max);
	if (fault(m, MAKE_TOO_LONG))
		n = f->max + 1;
	if (f->min > 0 && fault(m, MAKE_TOO_SHORT))
		n = f->min - 1;
	said = n;
	if (f->kind != MF_BYTES && n == 0 && f->max > 0 &&
	    (m->fault == MAKE_NOT_UTF8 || m->fault == MAKE_NUL))
		said = n = 1;
	/* Within bounds of its own, but not within what is left. */
	if (n < f->max && fault(m, MAKE_LENGTH_OVER))
		said = f->max;
	if (f->max > UINT16_MAX)
		buf_u32(&m->b, said);
	else
		buf_u16(&m->b, (uint16_t)said);
	start = m->b.n;
	for (i = 0; i < n; i++)
		buf_u8(&m->b, f->kind == MF_SECSTR ? 'Z' :
		    (uint8_t)('a' + make_random(m) % 25));
	if (n > 0 && f->kind != MF_BYTES && fault(m, MAKE_NOT_UTF8))
		m->b.p[start + n - 1] = 0xc3;
	if (n > 0 && f->kind != MF_BYTES && fault(m, MAKE_NUL))
		m->b.p[start + n / 2] = 0;
}

static unsigned int
make_ip(struct make *m)
{
	static const uint8_t family[] = { 0, 4, 6 };
	unsigned int f;

	f = family[m->size == MAKE_MAX ? 2 : m->size == MAKE_MIN ? 0 :
	    make_random(m) % 3];
	if (fault(m, MAKE_FAMILY)) {
		buf_u8(&m->b, 5);
		make_octets(m, 4);
		return 0;
	}
	buf_u8(&m->b, (uint8_t)f);
	make_octets(m, f == 4 ? 4 : f == 6 ? 16 : 0);
	return f;
}

static void
make_prefix(struct make *m)
{
	unsigned int f, max, bits, i;
	size_t start = m->b.n;

	f = make_ip(m);
	max = f == 4 ? 32 : f == 6 ? 128 : 0;
	bits = pick(m, 0, max);
	if (f != 0) {
		for (i = bits; i < max; i++)
			m->b.p[start + 1 + i / 8] &=
			    (uint8_t)~(0x80 >> i % 8);
		if (bits < max && fault(m, MAKE_HOST_BITS))
			m->b.p[start + 1 + (max - 1) / 8] |= 1;
	}
	if (fault(m, MAKE_BITS))
		bits = max + 1;
	buf_u8(&m->b, (uint8_t)bits);
}

static void make_fields(struct make *, const struct msg_field *,
    unsigned int);

static void
make_list(struct make *m, const struct msg_field *f)
{
	const struct msg_record *r = msg_record(f->rec);
	uint32_t i, n, said, octets;
	size_t start;

	n = pick(m, f->min, f->max);
	if (m->size == MAKE_RANDOM && n > f->min + 3)
		n = f->min + 3;
	if (fault(m, MAKE_MANY))
		n = f->max + 1;
	if (f->min > 0 && fault(m, MAKE_FEW))
		n = f->min - 1;
	said = n;
	if (n < f->max && fault(m, MAKE_COUNT_OVER))
		said++;
	if (n > f->min && fault(m, MAKE_COUNT_UNDER))
		said--;
	octets = fault(m, MAKE_OCTETS_OVER);
	if (n > 0 && fault(m, MAKE_OCTETS_UNDER))
		octets = UINT32_MAX;
	buf_u16(&m->b, (uint16_t)said);
	buf_u32(&m->b, 0);
	start = m->b.n;
	for (i = 0; i < n; i++)
		make_fields(m, r->fields, r->nfields);
	octets += (uint32_t)(m->b.n - start);
	for (i = 0; i < 4; i++)
		m->b.p[start - 4 + i] = (uint8_t)(octets >> (24 - 8 * i));
}

static void
make_field(struct make *m, const struct msg_field *f)
{
	const struct msg_record *r;

	m->n++;
	switch (f->kind) {
	case MF_U8:
		make_octets(m, 1);
		break;
	case MF_U16:
		make_octets(m, 2);
		break;
	case MF_U32:
		make_octets(m, 4);
		break;
	case MF_U64:
	case MF_I64:
		make_octets(m, 8);
		break;
	case MF_BOOL:
		buf_u8(&m->b, fault(m, MAKE_BOOL) ? 2 : make_random(m) & 1);
		break;
	case MF_FIX:
		make_octets(m, f->max);
		break;
	case MF_KEY:
		memset(buf_room(&m->b, f->max), 0x5a, f->max);
		m->b.n += f->max;
		break;
	case MF_BYTES:
	case MF_STR:
	case MF_SECSTR:
		make_text(m, f);
		break;
	case MF_IP:
		(void)make_ip(m);
		break;
	case MF_PREFIX:
		make_prefix(m);
		break;
	case MF_IPPORT:
		(void)make_ip(m);
		make_octets(m, 2);
		break;
	case MF_REC:
		r = msg_record(f->rec);
		make_fields(m, r->fields, r->nfields);
		break;
	case MF_LIST:
		make_list(m, f);
		break;
	}
}

static void
make_fields(struct make *m, const struct msg_field *f, unsigned int n)
{
	for (; n > 0; n--, f++)
		make_field(m, f);
}

void
make_body(struct make *m, enum msg_type type)
{
	const struct msg_row *row = msg_row(type);

	buf_clear(&m->b);
	(void)buf_room(&m->b, 1);
	m->n = 0;
	m->done = false;
	if (m->seed == 0)
		m->seed = 2463534242U;
	make_fields(m, row->fields, row->nfields);
}
