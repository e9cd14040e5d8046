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

static size_t	n[PART_MAX][ROLE_MAX];

static void
export(enum sandbox_part part, enum role role)
{
	struct sock_filter op;
	const char *why = NULL;
	FILE *f;

	if ((f = tmpfile()) == NULL)
		err(1, "tmpfile");
	if (sandbox_export(part, role, fileno(f), &why) == -1)
		errx(1, "filter %d of role %d: %s", (int)part, (int)role,
		    why == NULL ? "cannot be made" : why);
	rewind(f);
	while (fread(&op, sizeof(op), 1, f) == 1) {
		if (n[part][role]++ == 0)
			(void)printf("static const struct sock_filter "
			    "ops_%d_%d[] = {\n", (int)part, (int)role);
		(void)printf("\t{ 0x%x, %u, %u, 0x%xU },\n", op.code, op.jt,
		    op.jf, op.k);
	}
	if (ferror(f) != 0)
		err(1, "read");
	(void)fclose(f);
	if (n[part][role] != 0)
		(void)printf("};\n");
}

int
main(void)
{
	int p, r;

	for (p = 0; p < PART_MAX; p++)
		for (r = ROLE_NONE; r < ROLE_MAX; r++)
			export((enum sandbox_part)p, (enum role)r);
	(void)printf("static const struct program "
	    "programs[PART_MAX][ROLE_MAX] = {\n");
	for (p = 0; p < PART_MAX; p++)
		for (r = ROLE_NONE; r < ROLE_MAX; r++)
			if (n[p][r] != 0)
				(void)printf("\t[%d][%d] = { ops_%d_%d, %zu "
				    "},\n", p, r, p, r, n[p][r]);
	(void)printf("};\n");
	if (fflush(stdout) == EOF)
		err(1, "write");
	return 0;
}

#endif
