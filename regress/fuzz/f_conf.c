/*
 * Configurations: the first pass, libconfuse on its plain form, the checks.
 * What is refused has a place and a reason; what is taken can be taken again.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/str.h"
#include "master/conf.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static char *
on_read(const char *name, const char *from, char **full, size_t *n, char *why,
    size_t whylen, void *arg)
{
	static const char text[] = "include(\"x\")\nworkers = 2\n";

	(void)from;
	(void)arg;
	if (strcmp(name, "x") != 0) {
		(void)snprintf(why, whylen, "no such file");
		return NULL;
	}
	*full = xstrdup(name);
	*n = sizeof(text) - 1;
	return xstrdup(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static char name[] = "m", value[] = "http://localhost";
	const struct scan_macro macro = { name, value };
	struct scan_env env = { &macro, 1, on_read, NULL };
	struct conf *c, *d;
	struct scan *s, *t;
	char why[512] = "", at[300];

	s = scan_new("c", (const char *)p, n, &env, why, sizeof(why));
	if (s == NULL) {
		if (strchr(why, ':') == NULL)
			abort();
		return 0;
	}
	/* The plain form means itself. */
	t = scan_new("c", scan_text(s), strlen(scan_text(s)), &env, why,
	    sizeof(why));
	if (t == NULL || strcmp(scan_text(s), scan_text(t)) != 0)
		abort();
	scan_free(s);
	scan_free(t);
	c = conf_parse("c", (const char *)p, n, "/etc", 2, &env, why,
	    sizeof(why));
	if (c == NULL) {
		if (strchr(why, ':') == NULL)
			abort();
		return 0;
	}
	d = conf_parse("c", (const char *)p, n, "/etc", 2, &env, why,
	    sizeof(why));
	if (d == NULL || !conf_reloadable(c, d, why, sizeof(why)))
		abort();
	conf_where(c, "dns[0]|split[3]|nameservers", at, sizeof(at));
	conf_free(c);
	conf_free(d);
	return 0;
}
