/*
 * The examples of headscaled.policy(5) are policies: each display that
 * follows a line .\" example is compiled, made into rules, loaded, and its
 * tests are run against the nodes below.  The forms that the sections show
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
#include "regress/lib/polkit.h"

#define PAGE		"man/headscaled.policy.5"
#define MARK		".\\\" example\n"
#define EXAMPLES	5	/* at least */
#define TESTED		3	/* of them, with tests of both kinds */

/* Those that the page speaks of, and what they have. */
static struct polkit *
tailnet(void)
{
	struct polkit *k = polkit_new();

	(void)polkit_user(k, "alice@example.com", 2);
	(void)polkit_user(k, "bob@example.com", 0);
	(void)polkit_node(k, "desk", 1, "", "");
	(void)polkit_node(k, "phone", 1, "", "");
	(void)polkit_node(k, "laptop", 2, "", "");
	(void)polkit_node(k, "web", 0, "tag:web", "");
	(void)polkit_node(k, "db", 0, "tag:db", "");
	(void)polkit_node(k, "nas", 0, "tag:nas", "");
	(void)polkit_node(k, "router", 0, "tag:router",
	    "192.168.7.0/24 0.0.0.0/0 ::/0");
	return k;
}

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

/* How many entries its tests and sshTests have. */
static void
count_tests(struct polkit *k, struct slice text, size_t *n, size_t *nssh)
{
	struct arena *a = arena_new((size_t)64 * 1024 * 1024);
	const struct policy *p;

	p = policy_read(a, text, &k->info, &k->err);
	assert_non_null(p);
	assert_true(p->has_acls || p->has_grants);
	*n = p->ntests;
	*nssh = p->nssh_tests;
	arena_free(a);
}

/* The policy is taken; its tests pass here, but not where nobody is. */
static bool
takes(struct buf *policy, size_t *n, size_t *nssh)
{
	struct polkit *k = tailnet();
	const char *text;

	count_tests(k, buf_slice_of(policy), n, nssh);
	buf_u8(policy, '\0');
	text = (const char *)policy->p;
	if (polkit_compile(k, text, true) != 0)
		fail_msg("%sline %u: %s\n%s", text, k->err.pos.line,
		    polkit_why(k), polkit_detail(k));
	assert_non_null(k->pol);
	assert_true(k->pol->nrows != 0);
	k->topo.nnodes = 0;
	if (polkit_compile(k, text, true) !=
	    (*n + *nssh != 0 ? -1 : 0))
		fail_msg("%s%s", text, polkit_why(k));
	assert_true(k->tests_failed == (*n + *nssh != 0));
	polkit_free(k);
	return *n + *nssh != 0;
}

static void
examples(void **state)
{
	struct buf man = { 0 }, policy = { 0 };
	size_t n = 0, tested = 0, tests = 0, ssh = 0, i, k;
	const char *p;

	(void)state;
	page(&man);
	for (p = (char *)man.p; (p = strstr(p, MARK)) != NULL; n++) {
		buf_clear(&policy);
		p = display(p + strlen(MARK), &policy);
		tested += takes(&policy, &i, &k);
		tests += i;
		ssh += k;
	}
	assert_true(n >= EXAMPLES);
	assert_true(tested >= TESTED);
	assert_true(tests != 0 && ssh != 0);
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
