#include "common/str.h"
#include "worker/fetch/addr.h"

#define NITEMS(a)	(sizeof(a) / sizeof((a)[0]))

struct range {
	uint8_t		 b[4];
	uint8_t		 bits;
};

/* https://www.iana.org/assignments/iana-ipv4-special-registry */
static const struct range ranges4[] = {
	{ { 0, 0, 0, 0 }, 8 },		/* this network */
	{ { 10, 0, 0, 0 }, 8 },
	{ { 100, 64, 0, 0 }, 10 },	/* shared, and every tailnet's */
	{ { 127, 0, 0, 0 }, 8 },
	{ { 169, 254, 0, 0 }, 16 },	/* link-local, clouds' metadata */
	{ { 172, 16, 0, 0 }, 12 },
	{ { 192, 0, 0, 0 }, 24 },
	{ { 192, 0, 2, 0 }, 24 },	/* documentation */
	{ { 192, 88, 99, 0 }, 24 },	/* 6to4 relays */
	{ { 192, 168, 0, 0 }, 16 },
	{ { 198, 18, 0, 0 }, 15 },	/* benchmarks */
	{ { 198, 51, 100, 0 }, 24 },
	{ { 203, 0, 113, 0 }, 24 },
	{ { 224, 0, 0, 0 }, 3 }		/* multicast, reserved, broadcast */
};

/* Within 2000::/3; what is outside of it nobody routes. */
static const struct range ranges6[] = {
	{ { 0x20, 0x01, 0x00, 0x00 }, 23 },	/* Teredo, ORCHID and more */
	{ { 0x20, 0x01, 0x0d, 0xb8 }, 32 },	/* documentation */
	{ { 0x20, 0x02, 0x00, 0x00 }, 16 },	/* 6to4 */
	{ { 0x3f, 0xff, 0x00, 0x00 }, 20 }	/* documentation */
};

static uint32_t
first32(const uint8_t *b)
{
	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 |
	    (uint32_t)b[2] << 8 | b[3];
}

static bool
in_one(const struct range *r, size_t n, const uint8_t *b)
{
	size_t i;

	for (i = 0; i < n; i++)
		if ((first32(r[i].b) ^ first32(b)) >> (32 - r[i].bits) == 0)
			return true;
	return false;
}

bool
addr_public(const struct ip *ip)
{
	if (ip->family == 4)
		return !in_one(ranges4, NITEMS(ranges4), ip->b);
	if (ip->family == 6)
		return ip->b[0] >> 5 == 1 &&
		    !in_one(ranges6, NITEMS(ranges6), ip->b);
	return false;
}

bool
addr_ok(const struct ip *ip, const struct prefix *allow, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (prefix_has(&allow[i], ip))
			return true;
	return addr_public(ip);
}
