#include <sys/types.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <string.h>

#include "common/enc.h"
#include "common/ip.h"

static bool
parse_v4(uint8_t b[4], struct slice s)
{
	size_t i, start;
	unsigned int v;
	int part;

	for (i = 0, part = 0; part < 4; part++) {
		if (part > 0 && (i >= s.n || s.p[i++] != '.'))
			return false;
		v = 0;
		start = i;
		while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9') {
			v = v * 10 + (unsigned int)(s.p[i++] - '0');
			if (v > 255)
				return false;
		}
		if (i == start || (s.p[start] == '0' && i - start > 1))
			return false;
		b[part] = (uint8_t)v;
	}
	return i == s.n;
}

/* Up to four hex digits at *i; -1 if there is none or a fifth. */
static int
hex_group(struct slice s, size_t *i)
{
	size_t start = *i;
	int v = 0;

	while (*i < s.n && hex_digit(s.p[*i]) != -1) {
		if (*i - start == 4)
			return -1;
		v = v << 4 | hex_digit(s.p[(*i)++]);
	}
	return *i == start ? -1 : v;
}

/* Moves what follows "::" to the end; false unless it stands for a group. */
static bool
expand(uint8_t b[16], size_t n, size_t gap)
{
	if (gap > 16)
		return n == 16;
	if (n >= 16)
		return false;
	memmove(b + 16 - (n - gap), b + gap, n - gap);
	memset(b + gap, 0, 16 - n);
	return true;
}

static bool
parse_v6(uint8_t b[16], struct slice s)
{
	size_t i = 0, at, n = 0, gap = 17;
	int v;

	if (s.n >= 2 && s.p[0] == ':' && s.p[1] == ':') {
		gap = 0;
		i = 2;
	}
	while (i < s.n && n < 16) {
		at = i;
		if ((v = hex_group(s, &i)) == -1)
			return false;
		if (i < s.n && s.p[i] == '.') {
			if (n > 12 || (gap > 16 && n != 12) || !parse_v4(b + n,
			    slice_mem(s.p + at, s.n - at)))
				return false;
			n += 4;
			i = s.n;
			break;
		}
		b[n++] = (uint8_t)(v >> 8);
		b[n++] = (uint8_t)v;
		if (i == s.n)
			break;
		if (s.p[i++] != ':' || i == s.n)
			return false;
		if (s.p[i] == ':') {
			if (gap <= 16)
				return false;
			gap = n;
			i++;
		}
	}
	return i == s.n && expand(b, n, gap);
}

bool
ip_parse(struct ip *ip, struct slice s)
{
	memset(ip, 0, sizeof(*ip));
	if (s.n == 0 || s.n >= IP_TEXT)
		return false;
	if (memchr(s.p, ':', s.n) != NULL) {
		ip->family = 6;
		if (parse_v6(ip->b, s))
			return true;
	} else {
		ip->family = 4;
		if (parse_v4(ip->b, s))
			return true;
	}
	memset(ip, 0, sizeof(*ip));
	return false;
}

/* Clears what lies beyond bits; true if it was clear already. */
static bool
mask(struct ip *ip, unsigned int bits)
{
	size_t i, n = ip->family == 4 ? 4 : 16;
	bool clear = true;
	uint8_t keep;

	for (i = bits / 8; i < n; i++) {
		keep = i == bits / 8 ? (uint8_t)(0xff00 >> bits % 8) : 0;
		if ((ip->b[i] & ~keep) != 0)
			clear = false;
		ip->b[i] &= keep;
	}
	return clear;
}

static unsigned int
max_bits(const struct ip *ip)
{
	return ip->family == 4 ? 32 : ip->family == 6 ? 128 : 0;
}

/* Decimal without sign or leading zero, at most max. */
static bool
parse_number(unsigned int *out, struct slice s, unsigned int max)
{
	unsigned int v = 0;
	size_t i;

	if (s.n == 0 || s.n > 5 || (s.n > 1 && s.p[0] == '0'))
		return false;
	for (i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		v = v * 10 + (unsigned int)(s.p[i] - '0');
	}
	*out = v;
	return v <= max;
}

static bool
parse_prefix(struct prefix *p, struct slice s, bool loose)
{
	unsigned int bits;
	const char *at;
	size_t n;

	memset(p, 0, sizeof(*p));
	if (s.n == 0 || (at = memchr(s.p, '/', s.n)) == NULL)
		return false;
	n = (size_t)(at - s.p);
	if (!ip_parse(&p->addr, slice_mem(s.p, n)))
		return false;
	if (!parse_number(&bits, slice_mem(at + 1, s.n - n - 1),
	    max_bits(&p->addr)) || (!mask(&p->addr, bits) && !loose)) {
		memset(p, 0, sizeof(*p));
		return false;
	}
	p->bits = (uint8_t)bits;
	return true;
}

bool
prefix_parse(struct prefix *p, struct slice s)
{
	return parse_prefix(p, s, false);
}

bool
prefix_parse_loose(struct prefix *p, struct slice s)
{
	return parse_prefix(p, s, true);
}

bool
ipport_parse(struct ipport *a, struct slice s)
{
	struct slice host;
	unsigned int port;
	size_t n = s.n;
	bool bracket;

	memset(a, 0, sizeof(*a));
	while (n > 0 && s.p[n - 1] != ':')
		n--;
	if (n < 2)
		return false;
	host = slice_mem(s.p, n - 1);
	bracket = host.p[0] == '[';
	if (bracket) {
		if (host.n < 2 || host.p[host.n - 1] != ']')
			return false;
		host = slice_mem(host.p + 1, host.n - 2);
	}
	if (!ip_parse(&a->addr, host) ||
	    (a->addr.family == 6) != bracket ||
	    !parse_number(&port, slice_mem(s.p + n, s.n - n), 65535)) {
		memset(a, 0, sizeof(*a));
		return false;
	}
	a->port = (uint16_t)port;
	return true;
}

void
ipport_from(struct ipport *p, const struct sockaddr *sa)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	memset(p, 0, sizeof(*p));
	if (sa->sa_family == AF_INET) {
		memcpy(&in, sa, sizeof(in));
		p->addr.family = 4;
		memcpy(p->addr.b, &in.sin_addr, 4);
		p->port = ntohs(in.sin_port);
	} else if (sa->sa_family == AF_INET6) {
		memcpy(&in6, sa, sizeof(in6));
		p->addr.family = 6;
		memcpy(p->addr.b, &in6.sin6_addr, 16);
		p->port = ntohs(in6.sin6_port);
	}
}

/* At most five digits. */
static char *
put_number(char *p, unsigned int v)
{
	if (v >= 10000)
		*p++ = (char)('0' + v / 10000);
	if (v >= 1000)
		*p++ = (char)('0' + v / 1000 % 10);
	if (v >= 100)
		*p++ = (char)('0' + v / 100 % 10);
	if (v >= 10)
		*p++ = (char)('0' + v / 10 % 10);
	*p++ = (char)('0' + v % 10);
	return p;
}

static char *
put_v4(char *p, const uint8_t b[4])
{
	int i;

	for (i = 0; i < 4; i++) {
		if (i > 0)
			*p++ = '.';
		p = put_number(p, b[i]);
	}
	return p;
}

static unsigned int
group(const uint8_t b[16], int i)
{
	return (unsigned int)b[2 * i] << 8 | b[2 * i + 1];
}

/* The first of the longest runs of two or more zero groups (RFC 5952 4.2). */
static void
longest_run(const uint8_t b[16], int *start, int *len)
{
	int i, j;

	*start = -1;
	*len = 1;
	for (i = 0; i < 8; i = j + 1) {
		for (j = i; j < 8 && group(b, j) == 0; j++)
			continue;
		if (j - i > *len) {
			*start = i;
			*len = j - i;
		}
	}
}

/* The first octets of IPv4 addresses in IPv6 (RFC 4291 2.5.5.2). */
static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

static char *
put_v6(char *p, const uint8_t b[16])
{
	static const char digit[] = "0123456789abcdef";
	int i, shift, start, len;
	unsigned int v;

	if (memcmp(b, mapped, sizeof(mapped)) == 0) {
		memcpy(p, "::ffff:", 7);
		return put_v4(p + 7, b + 12);
	}
	longest_run(b, &start, &len);
	for (i = 0; i < 8; i++) {
		if (i == start) {
			*p++ = ':';
			*p++ = ':';
			i += len - 1;
			continue;
		}
		if (i > 0 && i != start + len)
			*p++ = ':';
		v = group(b, i);
		for (shift = 12; shift > 0 && v >> shift == 0; shift -= 4)
			continue;
		for (; shift >= 0; shift -= 4)
			*p++ = digit[v >> shift & 15];
	}
	return p;
}

static char *
put_ip(char *p, const struct ip *ip)
{
	if (ip->family == 4)
		p = put_v4(p, ip->b);
	else if (ip->family == 6)
		p = put_v6(p, ip->b);
	return p;
}

size_t
ip_print(char dst[IP_TEXT], const struct ip *ip)
{
	char *p;

	p = put_ip(dst, ip);
	*p = '\0';
	return (size_t)(p - dst);
}

size_t
prefix_print(char dst[PREFIX_TEXT], const struct prefix *pre)
{
	char *p;

	p = put_ip(dst, &pre->addr);
	if (p != dst) {
		*p++ = '/';
		p = put_number(p, pre->bits);
	}
	*p = '\0';
	return (size_t)(p - dst);
}

size_t
ipport_print(char dst[IPPORT_TEXT], const struct ipport *a)
{
	char *p = dst;

	if (a->addr.family == 6)
		*p++ = '[';
	p = put_ip(p, &a->addr);
	if (a->addr.family == 6)
		*p++ = ']';
	if (p != dst) {
		*p++ = ':';
		p = put_number(p, a->port);
	}
	*p = '\0';
	return (size_t)(p - dst);
}

void
ip_unmap(struct ip *ip)
{
	struct ip v4 = { .family = 4 };

	if (ip->family != 6 || memcmp(ip->b, mapped, sizeof(mapped)) != 0)
		return;
	memcpy(v4.b, ip->b + sizeof(mapped), 4);
	*ip = v4;
}

void
ip_source(uint8_t source[IP_SOURCE], const struct ip *ip)
{
	memset(source, 0, IP_SOURCE);
	source[0] = ip->family;
	memcpy(source + 1, ip->b, ip->family == 4 ? 4 : 8);
}

int
ip_cmp(const struct ip *a, const struct ip *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->b, b->b, max_bits(a) / 8);
}

bool
ip_eq(const struct ip *a, const struct ip *b)
{
	return ip_cmp(a, b) == 0;
}

bool
ipport_eq(const struct ipport *a, const struct ipport *b)
{
	return a->port == b->port && ip_eq(&a->addr, &b->addr);
}

bool
prefix_eq(const struct prefix *a, const struct prefix *b)
{
	return a->bits == b->bits && ip_eq(&a->addr, &b->addr);
}

bool
prefix_has(const struct prefix *p, const struct ip *ip)
{
	struct ip t = *ip;

	if (p->addr.family == 0 || p->addr.family != ip->family)
		return false;
	(void)mask(&t, p->bits);
	return ip_eq(&t, &p->addr);
}

bool
prefix_nth(const struct prefix *p, uint64_t n, struct ip *ip)
{
	unsigned int i;

	*ip = p->addr;
	if (p->addr.family == 0)
		return false;
	for (i = max_bits(ip) / 8; i-- > 0 && n != 0; n >>= 8) {
		n += ip->b[i];
		ip->b[i] = (uint8_t)n;
	}
	return n == 0 && prefix_has(p, ip);
}

uint64_t
prefix_size(const struct prefix *p)
{
	unsigned int free_bits;

	if (p->addr.family == 0)
		return 0;
	free_bits = max_bits(&p->addr) - p->bits;
	return free_bits >= 64 ? UINT64_MAX : (uint64_t)1 << free_bits;
}

static bool
within(const struct ip *ip, const char *prefix)
{
	struct prefix p;

	return prefix_parse(&p, slice_str(prefix)) && prefix_has(&p, ip);
}

bool
ip_is_linklocal(const struct ip *ip)
{
	return within(ip, "169.254.0.0/16") || within(ip, "fe80::/10");
}

bool
ip_is_private(const struct ip *ip)
{
	return within(ip, "127.0.0.0/8") || within(ip, "10.0.0.0/8") ||
	    within(ip, "172.16.0.0/12") || within(ip, "192.168.0.0/16") ||
	    within(ip, "::1/128") || within(ip, "fc00::/7") ||
	    ip_is_linklocal(ip);
}

bool
ip_is_tailnet(const struct ip *ip)
{
	return within(ip, "100.64.0.0/10") || within(ip, "fd7a:115c:a1e0::/48");
}

static bool
node_ok_v4(const struct ip *ip)
{
	return !within(ip, "100.115.92.0/23") &&
	    !within(ip, "100.100.100.100/32");
}

bool
ip_node_ok(const struct ip *ip)
{
	struct ip v4;

	if (within(ip, "100.64.0.0/10"))
		return node_ok_v4(ip);
	if (within(ip, "fd7a:115c:a1e0:ab12:4843:cd96:6200::/104")) {
		/* The image of an IPv4 address: 100, and its last three. */
		memset(&v4, 0, sizeof(v4));
		v4.family = 4;
		v4.b[0] = 100;
		memcpy(v4.b + 1, ip->b + 13, 3);
		return within(&v4, "100.64.0.0/10") && node_ok_v4(&v4);
	}
	return !within(ip, "fd7a:115c:a1e0::53/128") &&
	    !within(ip, "fd7a:115c:a1e0:b1a::/64") &&
	    !within(ip, "fd7a:115c:a1e0:efe3::/64");
}

struct ip_num
ip_num(const struct ip *ip)
{
	struct ip_num v = { 0, 0 };
	size_t i;

	if (ip->family == 4) {
		for (i = 0; i < 4; i++)
			v.lo = v.lo << 8 | ip->b[i];
		return v;
	}
	for (i = 0; i < 8; i++) {
		v.hi = v.hi << 8 | ip->b[i];
		v.lo = v.lo << 8 | ip->b[8 + i];
	}
	return v;
}

int
ip_num_cmp(struct ip_num a, struct ip_num b)
{
	if (a.hi != b.hi)
		return a.hi < b.hi ? -1 : 1;
	return a.lo < b.lo ? -1 : a.lo > b.lo;
}
