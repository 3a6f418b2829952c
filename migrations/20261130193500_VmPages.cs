using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace Exitless.Migrations
{
    /// <inheritdoc />
    public partial class VmPages : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.AlterColumn<string>(
                name: "name",
                table: "vms",
                type: "text",
                nullable: false,
                collation: "C",
                oldClrType: typeof(string),
                oldType: "text");

            migrationBuilder.CreateIndex(
                name: "ix_vms_state_name",
                table: "vms",
                columns: new[] { "state", "name" });
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropIndex(
                name: "ix_vms_state_name",
                table: "vms");

            migrationBuilder.AlterColumn<string>(
                name: "name",
                table: "vms",
                type: "text",
                nullable: false,
                oldClrType: typeof(string),
                oldType: "text",
                oldCollation: "C");
        }
    }
}
