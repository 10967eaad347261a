package wasmer

import (
	"fmt"
	"strconv"
)

// metering is what the options --metering and --cost-limit ask for. A limit alone is held at the least cost.
func (c *cli) metering() (metering Metering, err error) {
	if c.has("metering") {
		switch mode := c.value("metering"); mode {
		case MeteringBlock.String():
			metering.Mode = MeteringBlock
		case MeteringExact.String():
			metering.Mode = MeteringExact
		default:
			return metering, cliUsagef("--metering %q is no way to count; it is block or exact", mode)
		}
	}
	if c.has("cost-limit") {
		limit, err := strconv.ParseUint(c.value("cost-limit"), 10, 64)
		if err != nil || limit == 0 {
			return metering, cliUsagef("--cost-limit %q is no number of instructions, from 1 to 18446744073709551615", c.value("cost-limit"))
		}
		metering.Limit = limit
		if metering.Mode == MeteringOff {
			metering.Mode = MeteringBlock
		}
	}
	return metering, nil
}

// reportMeter tells how much was counted, if that was asked for.
func (c *cli) reportMeter(meter *Meter) {
	if c.has("metering") {
		fmt.Fprintf(c.stderr, "wasmer-go: %d instructions\n", meter.Used())
	}
}
