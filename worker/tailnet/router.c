/*
 * Subnet routers and exit nodes by node key, which clients choose: hashed by
 * a secret of the process.
 */

#include <string.h>

#include "worker/tailnet/node_int.h"
#include "worker/tailnet/tailnets_int.h"

/* Not 0, which idmap does not take. */
static uint64_t
hash(const struct tailnets *tn, const uint8_t key[32])
{
	uint64_t h = siphash(tn->seed, key, 32);

	return h != 0 ? h : 1;
}

void
router_add(struct tailnets *tn, struct node *n)
{
	uint64_t h = hash(tn, n->key);

	n->same_key = idmap_get(&tn->routers, h);
	idmap_put(&tn->routers, h, n);
}

void
router_del(struct tailnets *tn, struct node *n)
{
	uint64_t h = hash(tn, n->key);
	struct node *p = idmap_get(&tn->routers, h);

	if (p == n) {
		if (n->same_key == NULL)
			idmap_del(&tn->routers, h);
		else
			idmap_put(&tn->routers, h, n->same_key);
	} else {
		while (p->same_key != n)
			p = p->same_key;
		p->same_key = n->same_key;
	}
	n->same_key = NULL;
}

bool
tailnets_is_router(const struct tailnets *tn, const uint8_t node_key[32])
{
	const struct node *n;

	for (n = idmap_get(&tn->routers, hash(tn, node_key)); n != NULL;
	    n = n->same_key)
		if (memcmp(n->key, node_key, sizeof(n->key)) == 0)
			return true;
	return false;
}
