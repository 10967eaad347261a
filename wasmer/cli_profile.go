package wasmer

import (
	"errors"
	"os"
)

// watch begins what --profile and --perf-map ask for. What it returns ends that; it is given the guest's end, and adds to it.
func (c *cli) watch() (func(error) error, error) {
	if c.has("perf-map") {
		if _, err := StartPerfMap(); err != nil {
			return nil, cliExplain("--perf-map", err)
		}
	}
	if !c.has("profile") {
		return func(err error) error {
			StopPerfMap()
			return err
		}, nil
	}
	file, err := os.Create(c.value("profile"))
	if err != nil {
		StopPerfMap()
		return nil, cliExplain("--profile", err)
	}
	profile, err := StartProfile(file, ProfileConfig{Rate: cliProfileRate})
	if err != nil {
		StopPerfMap()
		_ = file.Close()
		return nil, cliExplain("--profile", err)
	}
	return func(ended error) error {
		StopPerfMap()
		err := errors.Join(profile.Stop(), file.Close())
		if err != nil && ended == nil {
			return cliExplain("--profile", err)
		}
		return ended
	}, nil
}

// cliProfileRate suits guests that run for seconds.
const cliProfileRate = 1000
