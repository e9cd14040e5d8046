#include <stdio.h>
#include <string.h>

#include "regress/sim/routes.h"

/* What the policies approve for whom. */
#define FOR_ALICE	0x1fu
#define FOR_OTHERS	0x18u

const char *
route_text(unsigned int k)
{
	static const char *const text[ROUTES] = { "0.0.0.0/0", "::/0",
	    "10.10.0.0/16", "10.20.0.0/16", "fd00:30::/64", "10.40.0.0/16" };

	return text[k];
}

unsigned int
routes_any(struct world *w)
{
	unsigned int mask;

	if (world_chance(w, 3))
		return 0;
	mask = (unsigned int)world_rand(w, 16) << 2;
	/* An exit node has both. */
	return world_chance(w, 4) ? mask | ROUTES_EXIT : mask;
}

/* It carries the route, or may be elected to. */
static bool
is_router(const struct truth *t, unsigned int route)
{
	return (t->published & ((t->approved & t->advertised) >> route)) != 0;
}

static bool
is_usable(struct world *w, const struct truth *t)
{
	return t->online && (t->expiry == 0 || t->expiry > world_wall(w));
}

const struct truth *
routes_first(struct world *w, const struct truth *t, size_t n,
    unsigned int route, const struct truth *but)
{
	const struct truth *best = NULL;
	size_t i;

	for (i = 0; i < n; i++)
		if (&t[i] != but && is_router(&t[i], route) &&
		    is_usable(w, &t[i]) &&
		    (best == NULL || t[i].id < best->id))
			best = &t[i];
	return best;
}

const struct truth *
routes_primary(const struct truth *t, size_t n, unsigned int route)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (t[i].primary >> route & 1)
			return &t[i];
	return NULL;
}

static void
check_route(struct world *w, const struct truth *t, size_t n,
    unsigned int route)
{
	const struct truth *p = routes_primary(t, n, route);
	const struct truth *first = routes_first(w, t, n, route, NULL);
	unsigned int primaries = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		primaries += t[i].primary >> route & 1;
		if ((t[i].primary >> route & 1) && !is_router(&t[i], route))
			world_fail(w, "%s is primary of %s, which it does not "
			    "carry", t[i].name, route_text(route));
	}
	/* Without anybody who is usable it is where it was, if anywhere. */
	if (primaries > 1 || (primaries == 0 && first != NULL))
		world_fail(w, "%s has %u primaries", route_text(route),
		    primaries);
	else if (first != NULL && !is_usable(w, p))
		world_fail(w, "%s, primary of %s, is not usable, and %s is",
		    p->name, route_text(route), first->name);
}

void
routes_check(struct world *w, const struct truth *t, size_t n,
    uint64_t alice)
{
	unsigned int k, want;
	size_t i;

	for (i = 0; i < n; i++) {
		want = t[i].advertised &
		    (t[i].user == alice ? FOR_ALICE : FOR_OTHERS);
		if ((t[i].approved & t[i].advertised) != want)
			world_fail(w, "of %#x that %s advertises %#x is "
			    "approved, not %#x", t[i].advertised, t[i].name,
			    t[i].approved, want);
		if (t[i].primary & ROUTES_EXIT)
			world_fail(w, "%s is primary of an exit route",
			    t[i].name);
	}
	for (k = 0; k < ROUTES; k++)
		if (ROUTES_SUBNETS >> k & 1)
			check_route(w, t, n, k);
}

/* Elements of a list, comma separated. */
static unsigned int
count(const char *list)
{
	unsigned int n = list[0] != '\0';

	for (; *list != '\0'; list++)
		n += *list == ',';
	return n;
}

static bool
has(const char *list, const char *text)
{
	size_t n = strlen(text);
	const char *p;

	for (p = list; (p = strstr(p, text)) != NULL; p += n)
		if ((p == list || p[-1] == ',') &&
		    (p[n] == '\0' || p[n] == ','))
			return true;
	return false;
}

/* The list is these routes, after so many others. */
static bool
is_list(const char *list, unsigned int others, unsigned int mask)
{
	unsigned int k;

	for (k = 0; k < ROUTES; k++) {
		if (has(list, route_text(k)) != (mask >> k & 1))
			return false;
		others += mask >> k & 1;
	}
	return count(list) == others;
}

static void
check(struct world *w, const char *viewer, const struct truth *t,
    const char *allowed, const char *primary, unsigned int want)
{
	if (!is_list(allowed, count(t->addr), want))
		world_fail(w, "%s is told of %s AllowedIPs [%s], not %#x",
		    viewer, t->name, allowed, want);
	if (!is_list(primary, 0, t->primary))
		world_fail(w, "%s is told of %s PrimaryRoutes [%s], not %#x",
		    viewer, t->name, primary, t->primary);
}

void
routes_check_peer(struct world *w, const char *viewer,
    const struct view_peer *p, const struct truth *t)
{
	check(w, viewer, t, p->allowed, p->primary, t->primary |
	    (t->approved & t->advertised & ROUTES_EXIT));
}

void
routes_check_self(struct world *w, const char *viewer, const struct view *v,
    const struct truth *t)
{
	check(w, viewer, t, v->self_allowed, v->self_primary,
	    t->approved & t->advertised);
}
