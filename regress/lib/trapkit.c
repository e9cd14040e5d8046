#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/noise.h"
#include "regress/lib/trapkit.h"

int
trap_setup(void **state)
{
	if (noise_init() == -1)
		return -1;
	*state = server_new(NULL);
	return 0;
}

int
trap_teardown(void **state)
{
	const char *why = server_fault(*state);

	if (why[0] != '\0')
		printf("a client was told nonsense: %s\n", why);
	if (server_free(*state) != 0 || why[0] != '\0')
		return -1;
	return frame_bytes() == 0 ? 0 : -1;
}

/* Sixteen host keys that look random. */
static char *
fat_extra(struct server *s)
{
	static const char digits[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN"
	    "OPQRSTUVWXYZ0123456789+-";
	struct buf b = { 0 };
	uint8_t octet[220];
	unsigned int i, k;

	buf_str(&b, "\"sshHostKeys\":[");
	for (i = 0; i < 16; i++) {
		env_random(server_env(s), octet, sizeof(octet));
		buf_str(&b, i == 0 ? "\"" : ",\"");
		for (k = 0; k < sizeof(octet); k++)
			buf_u8(&b, (uint8_t)digits[octet[k] % 64]);
		buf_str(&b, "\"");
	}
	buf_str(&b, "]");
	buf_u8(&b, 0);
	return (char *)b.p;
}

void
trap_crowd(struct server *s, unsigned int n, bool fat, struct dev **devs)
{
	const char *key = server_key(s, true, false);
	char name[32], *extra;
	struct ask *a;
	unsigned int i;

	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "crowd-%u", i);
		devs[i] = dev_new(s, name, key);
		extra = fat ? fat_extra(s) : NULL;
		devs[i]->extra = extra;
		a = dev_login(devs[i]) ? dev_lite(devs[i]) : NULL;
		if (a == NULL || a->status != 200) {
			printf("%s is refused\n", name);
			abort();
		}
		dev_drop(devs[i]);
		devs[i]->extra = NULL;
		free(extra);
	}
}

const char *
trap_member(const char *json, const char *name)
{
	static char text[4][512];
	static unsigned int turn;
	char *dst = text[turn++ % 4], want[64];
	const char *at, *end;

	snprintf(want, sizeof(want), "\"%s\":", name);
	dst[0] = '\0';
	if ((at = strstr(json, want)) == NULL)
		return dst;
	at += strlen(want);
	for (end = at; *end != '\0' && *end != ',' && *end != '}'; end++)
		;
	snprintf(dst, sizeof(text[0]), "%.*s", (int)(end - at), at);
	return dst;
}

void
witness_new(struct witness *w, struct server *s)
{
	unsigned int i;

	memset(w, 0, sizeof(*w));
	w->s = s;
	w->a = dev_new(s, "witness-a", server_key(s, true, false));
	w->b = dev_new(s, "witness-b", w->a->auth);
	w->a->slot = 1;
	w->b->slot = 2;
	if (!dev_join(w->a) || !dev_join(w->b))
		abort();
	server_pass(s, 2 * US_PER_S);
	for (i = 1; i <= HOST_WORKERS; i++)
		w->worker[i] = host_worker(server_host(s), i);
	w->dbd = host_dbd(server_host(s));
}

const char *
witness_check(struct witness *w)
{
	char port[40];
	struct ask *q;
	unsigned int i;
	size_t n;

	for (i = 1; i <= HOST_WORKERS; i++)
		if (host_worker(server_host(w->s), i) != w->worker[i])
			return "a worker has died";
	if (host_dbd(server_host(w->s)) != w->dbd)
		return "dbd has died";
	if (w->a->tcp->closed || w->b->tcp->closed)
		return "its connection was closed";
	if (w->a->stream->ended || w->b->stream->ended)
		return "its stream was ended";
	/* the budget of changes comes back in a second */
	server_pass(w->s, 2 * US_PER_S);
	n = w->a->stream->nmsg;
	snprintf(port, sizeof(port), "\"203.0.113.77:%u\"", ++w->round);
	w->b->endpoints = port;
	q = dev_lite(w->b);
	w->b->endpoints = NULL;
	if (q == NULL || q->status != 200)
		return "its change is refused";
	if (ask_until(w->a->stream, n, port, US_PER_S) == NULL)
		return "its change does not arrive";
	return server_fault(w->s)[0] != '\0' ? server_fault(w->s) : NULL;
}

size_t
memory_used(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}
