/*
 * The examples of headscaled.policy(5) are policies: each display that
 * follows a line .\" example is compiled.  The forms that the sections show
 * are not.
 */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dbd/policy/arena.h"
#include "dbd/policy/ast.h"

#define PAGE		"man/headscaled.policy.5"
#define MARK		".\\\" example\n"
#define EXAMPLES	5	/* at least */
#define S(s)		{ s, sizeof(s) - 1 }

static const struct pol_user users[] = {
	{ 1, S("alice"), S("alice@example.com"), S(""), 2 },
	{ 2, S("bob"), S("bob@example.com"), S(""), 0 }
};
static const struct slice domains[] = { S("example.com") };
static const struct tailnet_info info = { users, 2, domains, 1, false };

static void
page(struct buf *b)
{
	size_t n;
	FILE *f;

	if ((f = fopen(PAGE, "r")) == NULL)
		fail_msg("%s is missing: tests run at the top of the tree",
		    PAGE);
	while ((n = fread(buf_room(b, 65536), 1, 65536, f)) > 0)
		b->n += n;
	fclose(f);
	buf_u8(b, '\0');
}

/* A line of a display as mandoc shows it. */
static void
plain(struct buf *out, const char *line, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (line[i] != '\\') {
			buf_u8(out, (uint8_t)line[i]);
			continue;
		}
		i++;
		if (i < n && line[i] == 'e')
			buf_u8(out, '\\');
		else if (i >= n || line[i] != '&')
			fail_msg("an escape that this test does not know: "
			    "%.*s", (int)n, line);
	}
	buf_u8(out, '\n');
}

/* The display behind p into out; returns where it ends. */
static const char *
display(const char *p, struct buf *out)
{
	const char *end;

	if (strncmp(p, ".Bd -literal", 12) != 0)
		fail_msg("no display behind a mark: %.40s", p);
	p = strchr(p, '\n') + 1;
	while (strncmp(p, ".Ed\n", 4) != 0) {
		end = strchr(p, '\n');
		assert_non_null(end);
		plain(out, p, (size_t)(end - p));
		p = end + 1;
	}
	return p;
}

static void
takes(const struct buf *policy)
{
	struct buf text = { 0 }, detail = { 0 };
	struct arena *a = arena_new((size_t)64 * 1024 * 1024);
	struct pol_error err;
	const struct policy *p;

	memset(&err, 0, sizeof(err));
	err.text = &text;
	err.detail = &detail;
	p = policy_read(a, buf_slice_of(policy), &info, &err);
	if (p == NULL)
		fail_msg("%.*sline %u: %.*s", (int)policy->n,
		    (char *)policy->p, err.pos.line, (int)text.n,
		    (char *)text.p);
	assert_true(p->has_acls || p->has_grants);
	buf_free(&text);
	buf_free(&detail);
	arena_free(a);
}

static void
examples(void **state)
{
	struct buf man = { 0 }, policy = { 0 };
	const char *p;
	size_t n = 0;

	(void)state;
	page(&man);
	for (p = (char *)man.p; (p = strstr(p, MARK)) != NULL; n++) {
		buf_clear(&policy);
		p = display(p + strlen(MARK), &policy);
		takes(&policy);
	}
	assert_true(n >= EXAMPLES);
	buf_free(&policy);
	buf_free(&man);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(examples)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
