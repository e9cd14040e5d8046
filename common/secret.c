#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/compat/compat.h"
#include "common/log.h"
#include "common/secret.h"
#include "common/str.h"

struct secret {
	uint8_t		*p;
	size_t		 n;
	size_t		 mapped;
};

struct secret *
secret_new(size_t n)
{
	static bool told;
	struct secret *s;
	size_t page;

	page = (size_t)sysconf(_SC_PAGESIZE);
	if (n > SIZE_MAX - page)
		fatalx("secret too large");
	s = xcalloc(1, sizeof(*s));
	s->n = n;
	s->mapped = n == 0 ? page : (n + page - 1) / page * page;
	if ((s->p = compat_secret_map(s->mapped)) == NULL)
		fatal("mmap");
	if (mlock(s->p, s->mapped) == -1 && !told) {
		told = true;
		log_warn("secrets cannot be locked in memory");
	}
	return s;
}

struct secret *
secret_take(void *p, size_t n)
{
	struct secret *s;

	s = secret_new(n);
	if (n != 0) {
		memcpy(s->p, p, n);
		wipe(p, n);
	}
	return s;
}

uint8_t *
secret_data(struct secret *s)
{
	return s->p;
}

size_t
secret_len(const struct secret *s)
{
	return s->n;
}

void
secret_free(struct secret *s)
{
	if (s == NULL)
		return;
	wipe(s->p, s->mapped);
	(void)munmap(s->p, s->mapped);
	free(s);
}

void
wipe(void *p, size_t n)
{
	if (n != 0)
		explicit_bzero(p, n);
}
