#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/compat/compat.h"
#include "common/log.h"
#include "common/secret.h"
#include "common/str.h"
#include "master/files.h"
#include "master/keypairs.h"
#include "master/path.h"

struct pair {
	int		 certificate;	/* sealed copies */
	int		 key;
};

struct set {
	struct pair	 pair[CONF_PAIRS_MAX];
	unsigned int	 n;
};

struct keypairs {
	struct set	 now;
	struct set	 next;
};

struct keypairs *
keypairs_new(void)
{
	return xcalloc(1, sizeof(struct keypairs));
}

static void
shut(struct set *s)
{
	unsigned int i;

	for (i = 0; i < s->n; i++) {
		if (s->pair[i].certificate != -1)
			(void)close(s->pair[i].certificate);
		if (s->pair[i].key != -1)
			(void)close(s->pair[i].key);
	}
	s->n = 0;
}

void
keypairs_free(struct keypairs *p)
{
	if (p == NULL)
		return;
	shut(&p->now);
	shut(&p->next);
	free(p);
}

static bool
refuse(const struct conf *conf, unsigned int i, const char *key,
    const char *text, char *why, size_t whylen)
{
	char at[300], path[80];

	(void)snprintf(path, sizeof(path), "tls[0]|keypair[%u]|%s", i, key);
	conf_where(conf, path, at, sizeof(at));
	(void)snprintf(why, whylen, "%s: %s", at, text);
	return false;
}

/* Workers get the file as it is: none of them may see a key. */
static bool
holds_key(int fd)
{
	static const char mark[] = "PRIVATE KEY-----";
	char b[4096 + sizeof(mark)];
	size_t kept = 0;
	off_t at = 0;
	ssize_t n;
	bool found = false;

	while (!found && (n = pread(fd, b + kept, 4096, at)) > 0) {
		at += n;
		n += (ssize_t)kept;
		found = memmem(b, (size_t)n, mark, sizeof(mark) - 1) != NULL;
		kept = (size_t)n < sizeof(mark) ? (size_t)n : sizeof(mark);
		memmove(b, b + (size_t)n - kept, kept);
	}
	wipe(b, sizeof(b));
	return found;
}

bool
keypairs_stage(struct keypairs *p, const struct conf *conf, char *why,
    size_t whylen)
{
	struct set *s = &p->next;
	struct pair *e;
	char text[400];
	unsigned int i;

	shut(s);
	for (i = 0; i < conf->npairs; i++) {
		e = &s->pair[s->n++];
		e->key = -1;
		e->certificate = files_copy(conf->pairs[i].certificate, text,
		    sizeof(text));
		if (e->certificate == -1)
			return refuse(conf, i, "certificate", text, why,
			    whylen);
		if (holds_key(e->certificate)) {
			(void)snprintf(text, sizeof(text), "%s: holds a "
			    "private key, which would become known to the "
			    "workers: give the certificates in a file of "
			    "their own", conf->pairs[i].certificate);
			return refuse(conf, i, "certificate", text, why,
			    whylen);
		}
		e->key = files_copy_secret(conf->pairs[i].key, text,
		    sizeof(text));
		if (e->key == -1)
			return refuse(conf, i, "key", text, why, whylen);
	}
	return true;
}

void
keypairs_commit(struct keypairs *p)
{
	shut(&p->now);
	p->now = p->next;
	memset(&p->next, 0, sizeof(p->next));
}

void
keypairs_discard(struct keypairs *p)
{
	shut(&p->next);
}

int
keypairs_get(const struct keypairs *p, bool staged, unsigned int number,
    bool key)
{
	const struct set *s = staged ? &p->next : &p->now;
	const struct pair *e;
	int fd;

	if (number == 0 || number > s->n)
		return -1;
	e = &s->pair[number - 1];
	/* A copy each: who reads one moves no other's place. */
	fd = files_again(key ? e->key : e->certificate);
	if (fd == -1)
		log_warn("descriptor of a %s", key ? "key" : "certificate");
	return fd;
}
