#include <string.h>
#include <strings.h>

#include "worker/fetch/hosts.h"

/* The next line, without its comment; false at the end. */
static bool
next_line(struct slice *text, struct slice *line)
{
	const char *end;
	size_t i;

	if (text->n == 0)
		return false;
	end = memchr(text->p, '\n', text->n);
	line->p = text->p;
	line->n = end == NULL ? text->n : (size_t)(end - text->p);
	text->p += line->n;
	text->n -= line->n;
	if (end != NULL) {
		text->p++;
		text->n--;
	}
	for (i = 0; i < line->n; i++)
		if (line->p[i] == '#' || line->p[i] == ';')
			line->n = i;
	return true;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* The next word of a line; an empty one at its end. */
static struct slice
next_word(struct slice *line)
{
	struct slice w;

	while (line->n > 0 && is_blank(*line->p)) {
		line->p++;
		line->n--;
	}
	w.p = line->p;
	w.n = 0;
	while (line->n > 0 && !is_blank(*line->p)) {
		line->p++;
		line->n--;
		w.n++;
	}
	return w;
}

size_t
hosts_find(struct slice hosts, const char *name, struct ip *dst, size_t max)
{
	struct slice line, word;
	size_t n = 0, len = strlen(name);
	struct ip ip;

	while (n < max && next_line(&hosts, &line)) {
		if (!ip_parse(&ip, next_word(&line)))
			continue;
		while ((word = next_word(&line)).n > 0)
			if (word.n == len &&
			    strncasecmp(word.p, name, len) == 0) {
				dst[n++] = ip;
				break;
			}
	}
	return n;
}

size_t
hosts_servers(struct slice resolv, struct ip dst[HOSTS_SERVERS])
{
	struct slice line;
	size_t n = 0;

	while (n < HOSTS_SERVERS && next_line(&resolv, &line))
		if (slice_eqs(next_word(&line), "nameserver") &&
		    ip_parse(&dst[n], next_word(&line)))
			n++;
	return n;
}
