#include <string.h>

#include "dbd/policy/read_int.h"

#define FIELDS_MAX	32

/* Small letters, without "_" and "-": how names are compared. */
static bool
folds_to(struct slice name, const char *field)
{
	size_t i;
	char c, f;

	for (i = 0; i < name.n; i++) {
		c = name.p[i];
		if (c == '_' || c == '-')
			continue;
		f = *field;
		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (f >= 'A' && f <= 'Z')
			f = (char)(f - 'A' + 'a');
		if (f == '\0' || c != f)
			return false;
		field++;
	}
	return *field == '\0';
}

static size_t
field_find(const struct field *f, size_t n, struct slice name)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (folds_to(name, f[i].name))
			return i;
	return SIZE_MAX;
}

bool
fields_read(struct reading *r, const struct hj *o, const struct field *f,
    size_t n, const struct hj **out, bool comments)
{
	bool seen[FIELDS_MAX] = { false };
	const struct hj *m;
	bool ok = true;
	size_t i;

	memset(out, 0, n * sizeof(*out));
	if (!want_kind(r, o, HJ_OBJECT))
		return false;
	for (m = o->first; m != NULL; m = m->next) {
		if (comments && slice_prefix(m->name, "#"))
			continue;
		i = field_find(f, n, m->name);
		if (i == SIZE_MAX)
			ok = fault(r, m->name_pos, "unknown field: %s",
			    quote(r, m->name));
		else if (seen[i])
			ok = fault(r, m->name_pos, "duplicate field: %s",
			    quote(r, m->name));
		else if (seen[i] = true, m->kind == HJ_NULL)
			continue;
		else if (!want_kind(r, m, f[i].kind))
			ok = false;
		else
			out[i] = m;
	}
	return ok;
}

/* The first string from v on; what else stands before it is a fault. */
static const struct hj *
next_str(struct reading *r, const struct hj *v, bool *ok)
{
	for (; v != NULL; v = v->next) {
		if (want_kind(r, v, HJ_STRING))
			return v;
		*ok = false;
	}
	return NULL;
}

bool
strs_read(struct reading *r, const struct hj *list, struct strs *out,
    bool trim)
{
	const struct hj *v;
	bool ok = true;

	out->n = 0;
	if (list == NULL)
		return true;
	out->v = arena_array(r->a, list->count, sizeof(*out->v));
	for (v = next_str(r, list->first, &ok); v != NULL;
	    v = next_str(r, v->next, &ok))
		out->v[out->n++] = trim ? lex_trim(v->text) : v->text;
	return ok;
}

bool
aliases_read(struct reading *r, const struct hj *list, struct aliases *out,
    bool trim)
{
	const struct hj *v;
	struct alias *al;
	struct slice s;
	bool ok = true;

	out->n = 0;
	if (list == NULL)
		return true;
	out->v = arena_array(r->a, list->count, sizeof(*out->v));
	for (v = next_str(r, list->first, &ok); v != NULL;
	    v = next_str(r, v->next, &ok)) {
		s = trim ? lex_trim(v->text) : v->text;
		al = &out->v[out->n++];
		al->pos = v->pos;
		if (!lex_alias(al, s))
			ok = fault(r, v->pos, "invalid alias format: %s",
			    quote(r, s));
	}
	return ok;
}
