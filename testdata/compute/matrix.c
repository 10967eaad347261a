// Multiplies two matrices of size x size doubles, size up to 512, in the order of the rows.
#include "compute.h"

#define MAX 512

static double a[MAX * MAX], b[MAX * MAX], c[MAX * MAX];

static void multiply(uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		double *to = c + i * n;
		for (uint32_t j = 0; j < n; j++)
			to[j] = 0;
		for (uint32_t k = 0; k < n; k++) {
			double x = a[i * n + k];
			const double *from = b + k * n;
			for (uint32_t j = 0; j < n; j++)
				to[j] += x * from[j];
		}
	}
}

RUN
{
	uint32_t n = size < MAX ? size : MAX, state = 1;
	for (uint32_t i = 0; i < n * n; i++) {
		a[i] = (double)(next(&state) & 0xffff) / 256 - 128;
		b[i] = (double)(next(&state) & 0xffff) / 256 - 128;
	}
	multiply(n);
	uint64_t sum = CHECKSUM_START;
	for (uint32_t i = 0; i < n * n; i++)
		sum = checksum(sum, bits(c[i]));
	return sum;
}
