/*
 * Writes a user and nodes into the store of a server that does not run, so
 * that scenarios have something to list without a client:
 *
 *	seed DATABASE COUNT
 *
 * makes user "seed" and nodes seed-1 ... seed-COUNT; the second one is tagged,
 * the third one's Hostinfo tries to draw on the terminal.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "dbd/store.h"

struct world {
	uint64_t	 tailnet;
	uint64_t	 user;
	struct tailnet_row row;
	char		 name[64];
	char		 stable_id[33];
};

static int
on_tailnet(const struct tailnet_row *r, void *arg)
{
	struct world *w = arg;

	if (w->tailnet != 0)
		return 0;
	w->tailnet = r->id;
	w->row = *r;
	(void)slice_copy(w->name, sizeof(w->name), r->name);
	(void)slice_copy(w->stable_id, sizeof(w->stable_id), r->stable_id);
	w->row.name = slice_str(w->name);
	w->row.stable_id = slice_str(w->stable_id);
	return 0;
}

static void
put_user(struct store *s, struct world *w)
{
	struct user_row r;

	memset(&r, 0, sizeof(r));
	r.tailnet = w->tailnet;
	r.user.id = w->user = store_next_id(s, STORE_ID_USER);
	r.user.name = slice_str("seed");
	r.user.display = slice_str("Se\033[31med");
	r.user.created = 1790000000;
	if (store_put_user(s, &r) == -1)
		exit(1);
}

static void
put_node(struct store *s, struct world *w, unsigned int i)
{
	struct buf tags = { NULL, 0, 0 };
	char name[32], ip[IP_TEXT], id[33];
	struct node_row r;
	struct r_text tag;

	memset(&r, 0, sizeof(r));
	r.tailnet = w->tailnet;
	r.node.id = store_next_id(s, STORE_ID_NODE);
	(void)snprintf(id, sizeof(id), "n%lluSEED",
	    (unsigned long long)r.node.id);
	(void)snprintf(name, sizeof(name), "seed-%u", i);
	(void)snprintf(ip, sizeof(ip), "100.65.%u.%u", i / 250, i % 250 + 1);
	r.node.stable_id = slice_str(id);
	r.node.name = slice_str(name);
	r.node.user = i == 2 ? 0 : w->user;
	memset(r.node.machine_key, 0x55, KEY_LEN);
	memcpy(r.node.node_key, &r.node.id, sizeof(r.node.id));
	r.node.node_key[KEY_LEN - 1] = 0x77;
	if (!ip_parse(&r.node.ip4, slice_str(ip)))
		exit(1);
	r.node.created = 1790000000;
	r.node.last_seen = 1790000100;
	r.node.capver = 140;
	r.node.hostinfo.os = slice_str("linux");
	r.node.hostinfo.hostname = slice_str(i == 3 ? "\033[2Jevil\n" : name);
	tag.v = slice_str("tag:seed");
	if (i == 2)
		msg_list_add(&r.node.tags, &tags, MR_TEXT, &tag);
	msg_list_close(&r.node.tags, &tags);
	if (store_put_node(s, &r) == -1)
		exit(1);
	buf_free(&tags);
}

int
main(int argc, char *argv[])
{
	static const uint8_t boot[16];
	struct world w;
	struct store *s;
	const char *bad;
	char why[512];
	unsigned int i, n;

	if (argc != 3 || (n = (unsigned int)strtonum(argv[2], 1, 60000,
	    &bad)) == 0 || bad != NULL) {
		(void)fprintf(stderr, "usage: seed DATABASE COUNT\n");
		return 2;
	}
	log_init("seed", 2, false, 0);
	memset(&w, 0, sizeof(w));
	if ((s = store_open_sqlite(argv[1], NULL, boot, why, sizeof(why))) ==
	    NULL)
		fatalx("%s", why);
	if (store_load_tailnets(s, on_tailnet, &w) == -1 || w.tailnet == 0)
		fatalx("no tailnet: start the server once");
	if (store_begin(s) == -1)
		return 1;
	put_user(s, &w);
	for (i = 1; i <= n; i++)
		put_node(s, &w, i);
	if (store_commit(s) == -1)
		return 1;
	store_close(s);
	return 0;
}
