#include <string.h>

#include "regress/lib/confkit.h"

static const struct scan_env *env;

static struct conf *
parse(const char *text, const char *dir, unsigned int cores, char *why,
    size_t whylen)
{
	static const struct scan_env none = { NULL, 0, NULL, NULL };

	why[0] = '\0';
	return conf_parse("c", text, strlen(text), dir, cores,
	    env == NULL ? &none : env, why, whylen);
}

static struct conf *
taken(const char *text, const char *dir, unsigned int cores)
{
	struct conf *c;
	char why[512];

	c = parse(text, dir, cores, why, sizeof(why));
	if (c == NULL)
		fail_msg("%s", why);
	return c;
}

void
confkit_env(const struct scan_env *next)
{
	env = next;
}

struct conf *
confkit_good(const char *text)
{
	return taken(text, "/etc/x", 4);
}

struct conf *
confkit_in(const char *dir, const char *text)
{
	return taken(text, dir, 1);
}

void
confkit_refused(const struct confkit_row *bad, size_t n)
{
	struct conf *c;
	char why[512];
	size_t i;

	for (i = 0; i < n; i++) {
		c = parse(bad[i].text, "/etc/x", 4, why, sizeof(why));
		if (c != NULL)
			fail_msg("case %zu was taken: %s", i, bad[i].text);
		assert_string_equal(why, bad[i].why);
	}
}

void
confkit_warns(const char *text, const char *warning)
{
	struct conf *c = confkit_good(text);

	if (warning != NULL && c->nwarnings != 0)
		assert_string_equal(c->warnings[0], warning);
	if (c->nwarnings != (warning != NULL))
		fail_msg("%u warnings, %s: %s", c->nwarnings,
		    c->nwarnings == 0 ? "" : c->warnings[0], text);
	conf_free(c);
}

void
confkit_reload(const struct conf *a, const char *text, const char *why)
{
	struct conf *b = confkit_good(text);
	char said[256];

	assert_int_equal(conf_reloadable(a, b, said, sizeof(said)),
	    why == NULL);
	if (why != NULL)
		assert_string_equal(said, why);
	conf_free(b);
}
