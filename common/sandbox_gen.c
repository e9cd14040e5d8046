#ifdef __linux__

/*
 * Run by the build: writes the filters of all roles as the rows of C that
 * sandbox_load.c includes.
 */

#include <linux/filter.h>
#include <err.h>
#include <stdio.h>

#include "common/compat/compat.h"
#include "common/sandbox_int.h"

static size_t	n[ROLE_MAX];

static void
export(enum role role)
{
	struct sock_filter op;
	const char *why = NULL;
	FILE *f;

	if ((f = tmpfile()) == NULL)
		err(1, "tmpfile");
	if (sandbox_export(role, fileno(f), &why) == -1)
		errx(1, "filter of role %d: %s", (int)role,
		    why == NULL ? "cannot be made" : why);
	rewind(f);
	while (fread(&op, sizeof(op), 1, f) == 1) {
		if (n[role]++ == 0)
			(void)printf("static const struct sock_filter "
			    "ops_%d[] = {\n", (int)role);
		(void)printf("\t{ 0x%x, %u, %u, 0x%xU },\n", op.code, op.jt,
		    op.jf, op.k);
	}
	if (ferror(f) != 0)
		err(1, "read");
	(void)fclose(f);
	if (n[role] != 0)
		(void)printf("};\n");
}

int
main(void)
{
	int r;

	for (r = ROLE_NONE; r < ROLE_MAX; r++)
		export((enum role)r);
	(void)printf("static const struct program programs[] = {\n");
	for (r = ROLE_NONE; r < ROLE_MAX; r++)
		if (n[r] != 0)
			(void)printf("\t[%d] = { ops_%d, %zu },\n", r, r,
			    n[r]);
		else
			(void)printf("\t[%d] = { 0, 0 },\n", r);
	(void)printf("};\n");
	if (fflush(stdout) == EOF)
		err(1, "write");
	return 0;
}

#endif
