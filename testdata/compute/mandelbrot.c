// Counts for each of size x size points of the plane how many steps it stays near the origin.
#include "compute.h"

#define STEPS 200

static uint32_t escape(double cr, double ci)
{
	double r = 0, i = 0, rr = 0, ii = 0;
	uint32_t step = 0;
	while (step < STEPS && rr + ii <= 4) {
		i = 2 * r * i + ci;
		r = rr - ii + cr;
		rr = r * r;
		ii = i * i;
		step++;
	}
	return step;
}

RUN
{
	uint64_t sum = CHECKSUM_START;
	for (uint32_t y = 0; y < size; y++)
		for (uint32_t x = 0; x < size; x++)
			sum = checksum(sum, escape(3.0 * x / size - 2.25, 3.0 * y / size - 1.5));
	return sum;
}
