#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "regress/lib/polread.h"

#define nitems(x)	(sizeof(x) / sizeof((x)[0]))
#define S(s)		{ s, sizeof(s) - 1 }
#define ARENA		((size_t)256 * 1024 * 1024)

static const struct pol_user users[] = {
	{ 1, S("ann"), S("ann@corp.example"), S(""), 2 },
	{ 2, S("ben"), S("ben@corp.example"), S(""), 0 },
	{ 3, S("eve"), S("eve@else.example"), S("idp-77"), 0 },
	{ 4, S("twin"), S("twin@one.example"), S(""), 0 },
	{ 5, S("twin"), S("twin@two.example"), S(""), 0 },
	{ 6, S("ben@one.example"), S(""), S("twin@two.example"), 0 }
};

static const struct slice domains[] = { S("corp.example") };

const struct tailnet_info polread_info = { users, nitems(users), domains, 1,
    false };

void
polread(struct outcome *o, struct slice text)
{
	memset(o, 0, sizeof(*o));
	o->a = arena_new(ARENA);
	o->err.text = &o->text;
	o->err.detail = &o->detail;
	o->p = policy_read(o->a, text, &polread_info, &o->err);
	if (o->p != NULL) {
		assert_int_equal(o->text.n, 0);
		assert_int_equal(o->detail.n, 0);
	} else
		assert_true(o->text.n > 0 && o->text.n <= 2048);
	buf_u8(&o->text, '\0');
	buf_u8(&o->detail, '\0');
}

void
polread_done(struct outcome *o)
{
	buf_free(&o->text);
	buf_free(&o->detail);
	arena_free(o->a);
}

static void
says(const char *policy, const char *want)
{
	struct outcome o;

	polread(&o, slice_str(policy));
	if ((o.p == NULL) != (want != NULL) ||
	    (want != NULL && strcmp((const char *)o.text.p, want) != 0))
		fail_msg("%s\n  says: %s\n  want: %s", policy,
		    o.p != NULL ? "(taken)" : (const char *)o.text.p,
		    want == NULL ? "(taken)" : want);
	polread_done(&o);
}

void
polread_all(const struct polread_row *t, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		says(t[i].policy, t[i].says);
}
