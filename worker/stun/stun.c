#include <stdlib.h>
#include <string.h>

#include "common/str.h"
#include "worker/stun/bucket.h"
#include "worker/stun/stun.h"

#define HEADER		20
#define ID_AT		8
#define ID_LEN		12
#define COOKIE_AT	4
#define ATTR_HEADER	4

#define BINDING_REQUEST		0x0001
#define BINDING_SUCCESS		0x0101
#define ATTR_XOR_MAPPED		0x0020
#define ATTR_SOFTWARE		0x8022
#define ATTR_FINGERPRINT	0x8028
#define FINGERPRINT_XOR		0x5354554eU

static const uint8_t cookie[4] = { 0x21, 0x12, 0xa4, 0x42 };
static const char software[8] = { 't', 'a', 'i', 'l', 'n', 'o', 'd', 'e' };

struct stun {
	struct buckets		*buckets;
	struct stun_counts	 counts;
};

struct stun *
stun_new(const uint8_t key[STUN_KEY])
{
	struct stun *s;

	s = xcalloc(1, sizeof(*s));
	s->buckets = buckets_new(key);
	return s;
}

void
stun_free(struct stun *s)
{
	if (s == NULL)
		return;
	buckets_free(s->buckets);
	free(s);
}

void
stun_limit(struct stun *s, uint32_t rate, uint32_t burst)
{
	buckets_limit(s->buckets, rate, burst);
}

const struct stun_counts *
stun_counts(const struct stun *s)
{
	return &s->counts;
}

void
stun_drop(struct stun *s)
{
	s->counts.malformed++;
}

static unsigned int
get16(const uint8_t *p)
{
	return (unsigned int)p[0] << 8 | p[1];
}

static uint32_t
get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void
put16(uint8_t *p, unsigned int v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* CRC-32 of IEEE 802.3, four bits at a time. */
static uint32_t
crc32(const uint8_t *p, size_t n)
{
	static const uint32_t table[16] = {
		0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
		0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
		0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
		0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c
	};
	uint32_t c = 0xffffffffU;

	for (; n > 0; n--, p++) {
		c = table[(c ^ *p) & 15] ^ c >> 4;
		c = table[(c ^ (uint32_t)*p >> 4) & 15] ^ c >> 4;
	}
	return ~c;
}

/*
 * derp.md 6.2.  It is stricter than RFC 8489: what asks otherwise is nobody
 * whom an answer would help.
 */
static bool
is_request(const uint8_t *p, size_t n)
{
	unsigned int type = 0;
	size_t at, len = 0;
	bool ours = false;

	if (n < HEADER || n > STUN_REQUEST_MAX || n % 4 != 0 ||
	    get16(p) != BINDING_REQUEST || get16(p + 2) != n - HEADER ||
	    memcmp(p + COOKIE_AT, cookie, sizeof(cookie)) != 0)
		return false;
	for (at = HEADER; at < n; at += ATTR_HEADER + (len + 3) / 4 * 4) {
		if (n - at < ATTR_HEADER)
			return false;
		type = get16(p + at);
		len = get16(p + at + 2);
		if ((len + 3) / 4 * 4 > n - at - ATTR_HEADER)
			return false;
		if (type == ATTR_SOFTWARE && len == sizeof(software) &&
		    memcmp(p + at + ATTR_HEADER, software, len) == 0)
			ours = true;
	}
	return ours && type == ATTR_FINGERPRINT && len == 4 &&
	    get32(p + n - 4) == (crc32(p, n - 8) ^ FINGERPRINT_XOR);
}

/* derp.md 14, S9: nobody asks from there, but somebody would be answered. */
static bool
can_ask(const struct ip *ip, uint16_t port)
{
	static const uint8_t zero[16];

	if (port == 0)
		return false;
	if (ip->family == 4)		/* this network; multicast and above */
		return ip->b[0] != 0 && ip->b[0] < 224;
	return ip->family == 6 && ip->b[0] != 0xff &&
	    memcmp(ip->b, zero, sizeof(zero)) != 0;
}

/* derp.md 6.3 */
static size_t
reply_to(const uint8_t *request, const struct ip *ip, uint16_t port,
    uint8_t *r)
{
	size_t i, len = ip->family == 4 ? 4 : 16;

	put16(r, BINDING_SUCCESS);
	put16(r + 2, (unsigned int)(ATTR_HEADER + 4 + len));
	memcpy(r + COOKIE_AT, cookie, sizeof(cookie));
	memcpy(r + ID_AT, request + ID_AT, ID_LEN);
	put16(r + 20, ATTR_XOR_MAPPED);
	put16(r + 22, (unsigned int)(4 + len));
	r[24] = 0;
	r[25] = ip->family == 4 ? 1 : 2;
	put16(r + 26, port ^ get16(cookie));
	/* What the address is hidden with: the cookie, then the id. */
	for (i = 0; i < len; i++)
		r[28 + i] = ip->b[i] ^ r[COOKIE_AT + i];
	return 28 + len;
}

size_t
stun_answer(struct stun *s, uint64_t now, const struct ipport *from,
    const void *p, size_t n, uint8_t reply[STUN_REPLY_MAX])
{
	struct ip ip = from->addr;

	if (!is_request(p, n)) {
		s->counts.malformed++;
		return 0;
	}
	ip_unmap(&ip);
	if (!can_ask(&ip, from->port)) {
		s->counts.sources++;
		return 0;
	}
	if (!buckets_take(s->buckets, now, &ip)) {
		s->counts.limited++;
		return 0;
	}
	s->counts.answered++;
	return reply_to(p, &ip, from->port, reply);
}
