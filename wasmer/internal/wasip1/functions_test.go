package wasip1

// args are what a function is called with, as numbers.
type args []uint64

func (a args) u32(i int) uint32 { return uint32(a[i]) }

// functions are all of WASI but those that end the guest, each with the kinds of its parameters: d is a descriptor, p a pointer,
// n a length or a count, s a pointer and a length that make a path, v ones that make a list of vectors, f flags, r rights,
// o an offset, a size or a time, and z one that may take the room of the host.
var functions = map[string]struct {
	kinds string
	call  func(c Call, a args) Errno
}{
	"args_get":          {"pp", func(c Call, a args) Errno { return c.ArgsGet(a.u32(0), a.u32(1)) }},
	"args_sizes_get":    {"pp", func(c Call, a args) Errno { return c.ArgsSizesGet(a.u32(0), a.u32(1)) }},
	"environ_get":       {"pp", func(c Call, a args) Errno { return c.EnvironGet(a.u32(0), a.u32(1)) }},
	"environ_sizes_get": {"pp", func(c Call, a args) Errno { return c.EnvironSizesGet(a.u32(0), a.u32(1)) }},
	"clock_res_get":     {"fp", func(c Call, a args) Errno { return c.ClockResGet(a.u32(0), a.u32(1)) }},
	"clock_time_get":    {"fop", func(c Call, a args) Errno { return c.ClockTimeGet(a.u32(0), a[1], a.u32(2)) }},
	"sched_yield":       {"", func(c Call, _ args) Errno { return c.SchedYield() }},
	"random_get":        {"pn", func(c Call, a args) Errno { return c.RandomGet(a.u32(0), a.u32(1)) }},
	"poll_oneoff":       {"ppnp", func(c Call, a args) Errno { return c.PollOneoff(a.u32(0), a.u32(1), a.u32(2), a.u32(3)) }},

	"fd_advise":             {"doof", func(c Call, a args) Errno { return c.FdAdvise(a.u32(0), a[1], a[2], a.u32(3)) }},
	"fd_allocate":           {"dzz", func(c Call, a args) Errno { return c.FdAllocate(a.u32(0), a[1], a[2]) }},
	"fd_close":              {"d", func(c Call, a args) Errno { return c.FdClose(a.u32(0)) }},
	"fd_datasync":           {"d", func(c Call, a args) Errno { return c.FdDatasync(a.u32(0)) }},
	"fd_sync":               {"d", func(c Call, a args) Errno { return c.FdSync(a.u32(0)) }},
	"fd_fdstat_get":         {"dp", func(c Call, a args) Errno { return c.FdFdstatGet(a.u32(0), a.u32(1)) }},
	"fd_fdstat_set_flags":   {"df", func(c Call, a args) Errno { return c.FdFdstatSetFlags(a.u32(0), a.u32(1)) }},
	"fd_fdstat_set_rights":  {"drr", func(c Call, a args) Errno { return c.FdFdstatSetRights(a.u32(0), a[1], a[2]) }},
	"fd_filestat_get":       {"dp", func(c Call, a args) Errno { return c.FdFilestatGet(a.u32(0), a.u32(1)) }},
	"fd_filestat_set_size":  {"do", func(c Call, a args) Errno { return c.FdFilestatSetSize(a.u32(0), a[1]) }},
	"fd_filestat_set_times": {"doof", func(c Call, a args) Errno { return c.FdFilestatSetTimes(a.u32(0), a[1], a[2], a.u32(3)) }},
	"fd_prestat_get":        {"dp", func(c Call, a args) Errno { return c.FdPrestatGet(a.u32(0), a.u32(1)) }},
	"fd_prestat_dir_name":   {"dpn", func(c Call, a args) Errno { return c.FdPrestatDirName(a.u32(0), a.u32(1), a.u32(2)) }},
	"fd_read":               {"dvp", func(c Call, a args) Errno { return c.FdRead(a.u32(0), a.u32(1), a.u32(2), a.u32(3)) }},
	"fd_write":              {"dvp", func(c Call, a args) Errno { return c.FdWrite(a.u32(0), a.u32(1), a.u32(2), a.u32(3)) }},
	"fd_pread": {"dvop", func(c Call, a args) Errno {
		return c.FdPread(a.u32(0), a.u32(1), a.u32(2), a[3], a.u32(4))
	}},
	"fd_pwrite": {"dvop", func(c Call, a args) Errno {
		return c.FdPwrite(a.u32(0), a.u32(1), a.u32(2), a[3], a.u32(4))
	}},
	"fd_readdir": {"dpnop", func(c Call, a args) Errno {
		return c.FdReaddir(a.u32(0), a.u32(1), a.u32(2), a[3], a.u32(4))
	}},
	"fd_renumber": {"dd", func(c Call, a args) Errno { return c.FdRenumber(a.u32(0), a.u32(1)) }},
	"fd_seek":     {"dofp", func(c Call, a args) Errno { return c.FdSeek(a.u32(0), int64(a[1]), a.u32(2), a.u32(3)) }},
	"fd_tell":     {"dp", func(c Call, a args) Errno { return c.FdTell(a.u32(0), a.u32(1)) }},

	"path_create_directory": {"ds", func(c Call, a args) Errno { return c.PathCreateDirectory(a.u32(0), a.u32(1), a.u32(2)) }},
	"path_remove_directory": {"ds", func(c Call, a args) Errno { return c.PathRemoveDirectory(a.u32(0), a.u32(1), a.u32(2)) }},
	"path_unlink_file":      {"ds", func(c Call, a args) Errno { return c.PathUnlinkFile(a.u32(0), a.u32(1), a.u32(2)) }},
	"path_filestat_get": {"dfsp", func(c Call, a args) Errno {
		return c.PathFilestatGet(a.u32(0), a.u32(1), a.u32(2), a.u32(3), a.u32(4))
	}},
	"path_filestat_set_times": {"dfsoof", func(c Call, a args) Errno {
		return c.PathFilestatSetTimes(a.u32(0), a.u32(1), a.u32(2), a.u32(3), a[4], a[5], a.u32(6))
	}},
	"path_link": {"dfsds", func(c Call, a args) Errno {
		return c.PathLink(a.u32(0), a.u32(1), a.u32(2), a.u32(3), a.u32(4), a.u32(5), a.u32(6))
	}},
	"path_open": {"dfsfrrfp", func(c Call, a args) Errno {
		return c.PathOpen(a.u32(0), a.u32(1), a.u32(2), a.u32(3), a.u32(4), a[5], a[6], a.u32(7), a.u32(8))
	}},
	"path_readlink": {"dspnp", func(c Call, a args) Errno {
		return c.PathReadlink(a.u32(0), a.u32(1), a.u32(2), a.u32(3), a.u32(4), a.u32(5))
	}},
	"path_rename": {"dsds", func(c Call, a args) Errno {
		return c.PathRename(a.u32(0), a.u32(1), a.u32(2), a.u32(3), a.u32(4), a.u32(5))
	}},
	"path_symlink": {"sds", func(c Call, a args) Errno {
		return c.PathSymlink(a.u32(0), a.u32(1), a.u32(2), a.u32(3), a.u32(4))
	}},

	"sock_accept": {"dfp", func(c Call, a args) Errno { return c.SockAccept(a.u32(0), a.u32(1), a.u32(2)) }},
	"sock_recv": {"dvfpp", func(c Call, a args) Errno {
		return c.SockRecv(a.u32(0), a.u32(1), a.u32(2), a.u32(3), a.u32(4), a.u32(5))
	}},
	"sock_send": {"dvfp", func(c Call, a args) Errno {
		return c.SockSend(a.u32(0), a.u32(1), a.u32(2), a.u32(3), a.u32(4))
	}},
	"sock_shutdown": {"df", func(c Call, a args) Errno { return c.SockShutdown(a.u32(0), a.u32(1)) }},
}
