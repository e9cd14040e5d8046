#include <string.h>

#include "common/enc.h"
#include "common/json_read.h"
#include "common/secret.h"
#include "worker/relay/frame.h"
#include "worker/relay/info.h"

/* The text is not known to be JSON yet. */
static bool
too_deep(const char *p, size_t n)
{
	unsigned int depth = 0;
	bool text = false;
	size_t i;

	for (i = 0; i < n; i++) {
		if (text && p[i] == '\\')
			i++;
		else if (p[i] == '"')
			text = !text;
		else if (!text && (p[i] == '{' || p[i] == '[')) {
			if (++depth > INFO_DEPTH)
				return true;
		} else if (!text && (p[i] == '}' || p[i] == ']') && depth > 0)
			depth--;
	}
	return false;
}

static bool
app_ok(struct slice s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		if (s.p[i] < ' ' || s.p[i] > '~')
			return false;
	return s.n <= INFO_APP_MAX;
}

static bool
mesh_key_ok(struct slice s)
{
	uint8_t key[KEY_LEN];
	bool ok;

	ok = hex_dec(key, sizeof(key), s);
	wipe(key, sizeof(key));
	return ok;
}

static bool
flag_ok(const struct jval *o, const char *name)
{
	const struct jval *v = jval_get(o, name);
	bool flag;

	return v == NULL || jval_bool(v, &flag);
}

/* NULL if all is well. */
static const char *
check(const struct jval *o)
{
	const struct jval *v;
	struct slice s;
	int64_t version;

	if (!jval_is_obj(o))
		return "no object";
	if ((v = jval_get(o, "version")) != NULL && !jval_i64(v, &version))
		return "bad version";
	if (!flag_ok(o, "CanAckPings") || !flag_ok(o, "IsProber"))
		return "bad flag";
	if ((v = jval_get(o, "meshKey")) != NULL &&
	    (!jval_str(v, &s) || !mesh_key_ok(s)))
		return "bad mesh key";
	if ((v = jval_get(o, "AppName")) != NULL &&
	    (!jval_str(v, &s) || !app_ok(s)))
		return "bad app name";
	return NULL;
}

bool
info_ok(const void *p, size_t n, const char **why)
{
	struct jdoc *d;

	if (too_deep(p, n)) {
		*why = "nested too deep";
		return false;
	}
	if ((d = json_read(p, n, DERP_BOX_MAX, why, NULL)) == NULL)
		return false;
	*why = check(jdoc_root(d));
	jdoc_free(d, true);
	return *why == NULL;
}
