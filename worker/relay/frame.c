#include <string.h>

#include "worker/relay/frame.h"

#define DISCO_MAGIC	"TS\xf0\x9f\x92\xac"
#define DISCO_MAGIC_LEN	6
#define DISCO_MIN	62	/* magic, key, nonce */
#define PING_MAX	1000

void
derp_head(uint8_t p[DERP_HEAD], enum derp_type type, uint32_t n)
{
	p[0] = (uint8_t)type;
	p[1] = (uint8_t)(n >> 24);
	p[2] = (uint8_t)(n >> 16);
	p[3] = (uint8_t)(n >> 8);
	p[4] = (uint8_t)n;
}

uint32_t
derp_len(const uint8_t p[DERP_HEAD])
{
	return (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 |
	    (uint32_t)p[3] << 8 | p[4];
}

enum derp_rule
derp_rule(uint8_t type, uint32_t n)
{
	switch (type) {
	case DERP_SEND:
		return n >= DERP_KEY && n <= DERP_FRAME_MAX ? DERP_TAKE :
		    DERP_FATAL;
	case DERP_PREFERRED:
		return n == 1 ? DERP_TAKE : DERP_FATAL;
	case DERP_PINGS:
		return n >= DERP_PING && n <= PING_MAX ? DERP_TAKE :
		    DERP_FATAL;
	case DERP_FORWARD:
	case DERP_WATCH:
	case DERP_CLOSE_PEER:
		return DERP_FATAL;
	default:
		return n <= DERP_FRAME_MAX ? DERP_SKIP : DERP_FATAL;
	}
}

bool
derp_login_ok(uint8_t type, uint32_t n)
{
	/* A box that is shorter than its tag can't open: keyd isn't asked. */
	return type == DERP_CLIENT_INFO &&
	    n >= DERP_KEY + DERP_NONCE + 16 &&
	    n <= DERP_KEY + DERP_NONCE + DERP_BOX_MAX;
}

bool
derp_is_disco(const void *p, size_t n)
{
	return n >= DISCO_MIN && memcmp(p, DISCO_MAGIC, DISCO_MAGIC_LEN) == 0;
}
