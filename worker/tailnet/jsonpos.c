#include <string.h>
#include <strings.h>

#include "worker/tailnet/jsonpos.h"

static size_t
skip_space(struct slice t, size_t at)
{
	while (at < t.n && (t.p[at] == ' ' || t.p[at] == '\t' ||
	    t.p[at] == '\n' || t.p[at] == '\r'))
		at++;
	return at;
}

/* The end of the string whose quote is at at. */
static size_t
skip_string(struct slice t, size_t at)
{
	for (at++; at < t.n && t.p[at] != '"'; at++)
		if (t.p[at] == '\\')
			at++;
	return at < t.n ? at + 1 : t.n;
}

/* The end of any value. */
static size_t
skip_value(struct slice t, size_t at)
{
	size_t depth = 0;
	char c;

	do {
		at = skip_space(t, at);
		if (at >= t.n)
			return t.n;
		c = t.p[at];
		if (c == '"') {
			at = skip_string(t, at);
			continue;
		}
		if (c == '{' || c == '[')
			depth++;
		else if ((c == '}' || c == ']') && depth > 0)
			depth--;
		at++;
		/* Numbers and words end where structure begins. */
		if (strchr("{}[],:", c) == NULL)
			while (at < t.n && strchr(" \t\r\n,:{}[]\"",
			    t.p[at]) == NULL)
				at++;
	} while (depth > 0);
	return at;
}

size_t
jsonpos_root(struct slice t)
{
	return skip_space(t, 0);
}

size_t
jsonpos_elem(struct slice t, size_t at, size_t k)
{
	size_t p = at;

	if (at >= t.n || t.p[at] != '[')
		return at;
	p = skip_space(t, p + 1);
	for (; k > 0; k--) {
		p = skip_space(t, skip_value(t, p));
		if (p >= t.n || t.p[p] != ',')
			return at;
		p = skip_space(t, p + 1);
	}
	return p < t.n && t.p[p] != ']' ? p : at;
}

size_t
jsonpos_member(struct slice t, size_t at, struct slice name)
{
	size_t p, key, end, found = at;

	if (at >= t.n || t.p[at] != '{')
		return at;
	p = skip_space(t, at + 1);
	while (p < t.n && t.p[p] == '"') {
		key = p + 1;
		end = skip_string(t, p);
		p = skip_space(t, end);
		if (p >= t.n || t.p[p] != ':')
			break;
		p = skip_space(t, p + 1);
		if (end - 1 - key == name.n &&
		    strncasecmp(t.p + key, name.p, name.n) == 0)
			found = p;
		p = skip_space(t, skip_value(t, p));
		if (p >= t.n || t.p[p] != ',')
			break;
		p = skip_space(t, p + 1);
	}
	return found;
}

unsigned int
jsonpos_line(struct slice t, size_t at)
{
	unsigned int line = 1;
	size_t i;

	for (i = 0; i < at && i < t.n; i++)
		line += t.p[i] == '\n';
	return line;
}
