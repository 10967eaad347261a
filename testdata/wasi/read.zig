//! read [FILE...]: greets, then prints its arguments and the contents of the files that they name.
const std = @import("std");

pub fn main(init: std.process.Init) !void {
    var buffer: [4096]u8 = undefined;
    var stdout: std.Io.File.Writer = .init(.stdout(), init.io, &buffer);
    const out = &stdout.interface;
    const args = try init.minimal.args.toSlice(init.arena.allocator());
    try out.print("hello, zig\n", .{});
    for (args[1..], 1..) |arg, i| {
        const content = try std.Io.Dir.cwd().readFileAlloc(init.io, arg, init.arena.allocator(), .limited(1 << 20));
        try out.print("arg {d}: {s}: {d} bytes\n{s}", .{ i, arg, content.len, content });
    }
    try out.flush();
}
