// The largest singular value of the matrix A(i, j) = 1 / ((i + j)(i + j + 1) / 2 + i + 1), size up to 4096 rows of it, by
// ten steps of the power method on A transposed times A.
#include "compute.h"

#define MAX 4096

static double u[MAX], v[MAX], between[MAX];

static double element(uint32_t i, uint32_t j)
{
	return 1.0 / (double)((i + j) * (i + j + 1) / 2 + i + 1);
}

static void times(uint32_t n, const double *from, double *to)
{
	for (uint32_t i = 0; i < n; i++) {
		double sum = 0;
		for (uint32_t j = 0; j < n; j++)
			sum += element(i, j) * from[j];
		to[i] = sum;
	}
}

static void transposed_times(uint32_t n, const double *from, double *to)
{
	for (uint32_t i = 0; i < n; i++) {
		double sum = 0;
		for (uint32_t j = 0; j < n; j++)
			sum += element(j, i) * from[j];
		to[i] = sum;
	}
}

static void step(uint32_t n, const double *from, double *to)
{
	times(n, from, between);
	transposed_times(n, between, to);
}

RUN
{
	uint32_t n = size < MAX ? size : MAX;
	for (uint32_t i = 0; i < n; i++)
		u[i] = 1;
	for (int i = 0; i < 10; i++) {
		step(n, u, v);
		step(n, v, u);
	}
	double uv = 0, vv = 0;
	for (uint32_t i = 0; i < n; i++) {
		uv += u[i] * v[i];
		vv += v[i] * v[i];
	}
	return bits(__builtin_sqrt(uv / vv));
}
