/* What policy diff says of sections that are not about access. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "regress/lib/polkit.h"

#define OWNERS	"\"tagOwners\":{\"tag:srv\":[],\"tag:router\":[]}"
#define SAME	"no difference\n"

static const char *
text(struct buf *b)
{
	buf_u8(b, 0);
	b->n--;
	return (const char *)b->p;
}

static const char *
diff(struct polkit *k, const char *was, const char *now, size_t max)
{
	buf_clear(&k->out);
	buf_clear(&k->text);
	if (policy_diff(slice_str(was), slice_str(now), &k->info, &k->topo,
	    max, &k->out, &k->err) != 0)
		fail_msg("%s", polkit_why(k));
	return text(&k->out);
}

/* Both have the owners, and one member each besides. */
static void
both(struct polkit *k, const char *was, const char *now, const char *want)
{
	char a[2000], b[2000];

	(void)snprintf(a, sizeof(a), "{" OWNERS "%s%s}", *was == '\0' ? "" :
	    ",", was);
	(void)snprintf(b, sizeof(b), "{" OWNERS "%s%s}", *now == '\0' ? "" :
	    ",", now);
	assert_string_equal(diff(k, a, b, 0), want);
	assert_string_equal(diff(k, a, a, 0), SAME);
	assert_string_equal(diff(k, b, b, 0), SAME);
}

#define SSH(action, users)	"{\"action\":" action ",\"src\":" \
	"[\"a@example.com\"],\"dst\":[\"tag:srv\"],\"users\":[" users "]}"

static void
t_ssh(void **state)
{
	struct polkit *k = polkit_five("");

	(void)state;
	both(k, "", "\"ssh\":[" SSH("\"accept\"", "\"root\",\"ubuntu\"") "]",
	    "+ ssh accept a@example.com -> tag:srv as root, ubuntu\n");
	both(k, "\"ssh\":[" SSH("\"accept\"", "\"root\"") "]",
	    "\"ssh\":[" SSH("\"check\",\"checkPeriod\":\"always\","
	    "\"acceptEnv\":[\"LANG\"]", "\"root\"") "]",
	    "- ssh accept a@example.com -> tag:srv as root\n"
	    "+ ssh check a@example.com -> tag:srv as root, each time, with "
	    "LANG\n");
	both(k, "\"ssh\":[" SSH("\"check\"", "\"root\"") "]",
	    "\"ssh\":[" SSH("\"check\",\"checkPeriod\":\"1h\"", "\"root\"")
	    "]", "- ssh check a@example.com -> tag:srv as root, every "
	    "43200 s\n+ ssh check a@example.com -> tag:srv as root, every "
	    "3600 s\n");
	/* The first rule that fits decides: order matters. */
	both(k, "\"ssh\":[" SSH("\"accept\"", "\"root\"") ","
	    SSH("\"check\"", "\"root\"") "]", "\"ssh\":["
	    SSH("\"check\"", "\"root\"") "," SSH("\"accept\"", "\"root\"") "]",
	    "* ssh: the order of rules differs\n");
	both(k, "\"ssh\":[" SSH("\"accept\"", "\"root\"") ","
	    SSH("\"check\"", "\"root\"") "]", "\"ssh\":["
	    SSH("\"check\"", "\"root\"") "," SSH("\"accept\"", "\"adm\"") ","
	    SSH("\"accept\"", "\"root\"") "]",
	    "+ ssh accept a@example.com -> tag:srv as adm\n"
	    "* ssh: the order of rules differs\n");
	polkit_free(k);
}

#define GRANT(app)	"{\"src\":[\"*\"],\"dst\":[\"tag:srv\"],\"app\":{" \
	app "}}"

static void
t_app(void **state)
{
	struct polkit *k = polkit_five("");

	(void)state;
	both(k, "\"grants\":[" GRANT("\"a.b/c\":[{\"x\": 1}]") "]",
	    "\"grants\":[" GRANT("\"a.b/c\":[2],\"a.b/d\":[]") "]",
	    "- app * -> tag:srv: a.b/c [{\"x\":1}]\n"
	    "+ app * -> tag:srv: a.b/c [2], a.b/d []\n");
	/* Another order of grants is none. */
	both(k, "\"grants\":[" GRANT("\"a.b/c\":[1]") ","
	    GRANT("\"a.b/c\":[2]") "]", "\"grants\":["
	    GRANT("\"a.b/c\":[2]") "," GRANT("\"a.b/c\":[1]") "]", SAME);
	polkit_free(k);
}

static void
t_others(void **state)
{
	struct polkit *k = polkit_five("");

	(void)state;
	both(k, "\"nodeAttrs\":[{\"target\":[\"*\"],\"attr\":[\"x\",\"y\"]},"
	    "{\"target\":[\"tag:srv\"],\"attr\":[\"z\"]}]",
	    "\"nodeAttrs\":[{\"target\":[\"tag:srv\"],\"attr\":[\"z\"]},"
	    "{\"target\":[\"a@example.com\",\"*\"],\"attr\":[\"y\"]}]",
	    "- nodeAttrs *: x, y\n+ nodeAttrs a@example.com, *: y\n");
	both(k, "\"autoApprovers\":{\"routes\":{\"10.0.0.0/8\":[\"tag:srv\"]"
	    "}}", "\"autoApprovers\":{\"routes\":{\"10.0.0.0/9\":[\"tag:srv\"]"
	    "},\"exitNode\":[\"tag:router\"]}",
	    "- autoApprovers 10.0.0.0/8: tag:srv\n"
	    "+ autoApprovers 10.0.0.0/9: tag:srv\n"
	    "+ autoApprovers exitNode: tag:router\n");
	both(k, "\"hosts\":{\"q\":\"1.2.3.4\"}", "\"hosts\":{}", SAME);
	assert_string_equal(diff(k, "{\"tagOwners\":{\"tag:x\":[]}}",
	    "{\"tagOwners\":{\"tag:x\":[\"a@example.com\"],\"tag:y\":"
	    "[\"tag:x\"]}}", 0), "- tagOwners tag:x: nobody\n"
	    "+ tagOwners tag:x: a@example.com\n+ tagOwners tag:y: tag:x\n");
	polkit_free(k);
}

#define GROUP(who, more)	"\"groups\":{\"group:g\":[" who "]}," \
	"\"nodeAttrs\":[{\"target\":[\"group:g\"],\"attr\":[\"x\"]}" more "]"

/* The same words mean something else. */
static void
t_meaning(void **state)
{
	struct polkit *k = polkit_five("");

	(void)state;
	both(k, GROUP("\"a@example.com\"", ""), GROUP("\"b@example.com\"",
	    ",{\"target\":[\"*\"],\"attr\":[\"n\"]}"),
	    "* nodeAttrs group:g: x: what its names mean differs\n"
	    "+ nodeAttrs *: n\n");
	polkit_free(k);
}

/* As many lines as are wanted, of a length that can be read. */
static void
t_bounds(void **state)
{
	struct polkit *k = polkit_five("");
	struct buf b = { NULL, 0, 0 };
	const char *got, *line;
	unsigned int i;

	(void)state;
	buf_str(&b, "{\"acls\":[],\"nodeAttrs\":[{\"target\":[\"*\"],"
	    "\"attr\":[");
	for (i = 0; i < 100; i++)
		buf_printf(&b, "%s\"%090u\"", i == 0 ? "" : ",", i);
	buf_str(&b, "]}");
	for (i = 0; i < 9; i++)
		buf_printf(&b, ",{\"target\":[\"*\"],\"attr\":[\"n%u\\u00e9"
		    "\"]}", i);
	buf_str(&b, "],\"autoApprovers\":{\"exitNode\":[\"tag:srv\"]},"
	    "\"tagOwners\":{\"tag:srv\":[]}}");
	got = diff(k, "{\"acls\":[],\"tagOwners\":{\"tag:srv\":[]}}",
	    text(&b), 6);
	assert_non_null(strstr(got, "..., 84 more\n+ nodeAttrs *: n0\u00e9\n"));
	assert_non_null(strstr(got, "n3\u00e9\n* nodeAttrs differs in more\n"
	    "* autoApprovers differs\n"));
	assert_true(strcspn(got, "\n") < 2000);
	/* A control character does not make a line of its own. */
	got = diff(k, "{}", "{\"nodeAttrs\":[{\"target\":[\"*\"],\"attr\":["
	    "\"x\\ny\"]}]}", 0);
	assert_non_null(line = strchr(got, '\n'));
	assert_string_equal(line, "\n");
	buf_free(&b);
	polkit_free(k);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_ssh),
		cmocka_unit_test(t_app),
		cmocka_unit_test(t_others),
		cmocka_unit_test(t_meaning),
		cmocka_unit_test(t_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
