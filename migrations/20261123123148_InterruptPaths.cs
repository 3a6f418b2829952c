using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace Exitless.Migrations
{
    /// <inheritdoc />
    public partial class InterruptPaths : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.AddColumn<string>(
                name: "interrupts",
                table: "vms",
                type: "text",
                nullable: false,
                defaultValueSql: "'Auto'");

            migrationBuilder.AddColumn<string>(
                name: "locality",
                table: "vms",
                type: "jsonb",
                nullable: true);

            migrationBuilder.AddColumn<string>(
                name: "switches",
                table: "vms",
                type: "jsonb",
                nullable: false,
                defaultValueSql: "'[]'");

            migrationBuilder.AddColumn<string>(
                name: "previous_switches",
                table: "operations",
                type: "jsonb",
                nullable: true);
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropColumn(
                name: "interrupts",
                table: "vms");

            migrationBuilder.DropColumn(
                name: "locality",
                table: "vms");

            migrationBuilder.DropColumn(
                name: "switches",
                table: "vms");

            migrationBuilder.DropColumn(
                name: "previous_switches",
                table: "operations");
        }
    }
}
